package mcpserver

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// errClosed is why work ends when a [Server] is closed.
var errClosed = fmt.Errorf("the upstream was closed: %w", context.Canceled)

// lifetime is the context of what belongs to the server and to no call: probes,
// handshakes, event streams, processes. Such work carries no values of the call that
// happened to cause it.
type lifetime struct {
	ended chan struct{}
	once  sync.Once
	work  sync.WaitGroup
	last  sync.WaitGroup // what of the work is to be done before the rest is cancelled

	mu   sync.Mutex
	over bool
}

var _ context.Context = (*lifetime)(nil)

func newLifetime() *lifetime { return &lifetime{ended: make(chan struct{})} }

// Deadline implements [context.Context]: there is none.
func (*lifetime) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements [context.Context].
func (l *lifetime) Done() <-chan struct{} { return l.ended }

// Value implements [context.Context]: there are none.
func (*lifetime) Value(any) any { return nil }

// Err implements [context.Context].
func (l *lifetime) Err() error {
	select {
	case <-l.ended:
		return errClosed
	default:
		return nil
	}
}

// begin reports whether work may begin: after refuse none may. Who was let in calls
// work.Done at the end.
func (l *lifetime) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.work.Add(1)
	}
	return !l.over
}

// run does work in a goroutine of its own and reports whether it was begun.
func (l *lifetime) run(work func()) bool {
	if !l.begin() {
		return false
	}
	go func() {
		defer l.work.Done()
		work()
	}()
	return true
}

// runLast is run for work that is not cut off when the server is closed.
func (l *lifetime) runLast(work func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.work.Add(1)
	l.last.Add(1)
	go func() {
		defer l.work.Done()
		defer l.last.Done()
		work()
	}()
	return true
}

// refuse lets no further work begin.
func (l *lifetime) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// end cancels what still runs, but for what runs last, and waits for it as long as ctx lasts.
func (l *lifetime) end(ctx context.Context) error {
	l.refuse()
	err := await(ctx, &l.last)
	l.once.Do(func() { close(l.ended) })
	if err != nil {
		return err
	}
	return await(ctx, &l.work)
}

// await waits for work as long as ctx lasts.
func await(ctx context.Context, work *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
