package route

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Bounds of what mirrors cost.
const (
	mirrorTime = time.Minute // for a copy, and for the answer that it is compared with
	mirrorSlot = 32          // copies to one upstream at a time
	mirrorSize = 1 << 20     // bytes of a request that is copied, and of an answer that is compared
)

// ErrNotMirrored is returned by who makes a copy if the call turns out to be one that is not copied.
var ErrNotMirrored = errors.New("the call is not mirrored")

// Mirrors makes copies of calls at second upstreams and compares their answers. It outlives configurations. All
// methods may be called by many goroutines at once.
type Mirrors struct {
	log    *slog.Logger
	ending context.Context //nolint:containedctx // the life of all copies, ended by Close
	end    context.CancelCauseFunc
	byName sync.Map // of upstreams → *mirror

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// NewMirrors returns what makes copies until ctx ends or [Mirrors.Close] is called.
func NewMirrors(ctx context.Context, log *slog.Logger) *Mirrors {
	m := &Mirrors{log: log}
	m.ending, m.end = context.WithCancelCause(ctx)
	return m
}

// Count is what became of the copies that one upstream got.
type Count struct {
	Upstream  string // the mirror
	Equal     uint64 // its answer was that of the upstream whose answer went to the client
	Different uint64
	Failed    uint64 // it gave none: it could not be reached, took too long, or wanted to ask something
	Dropped   uint64 // nothing was compared: too many copies were under way, something was too large, or the call itself was not answered in time
}

// Counts returns the counts of all mirrors so far, by name. Nothing is read twice or reset.
func (m *Mirrors) Counts() []Count {
	var out []Count
	m.byName.Range(func(name, value any) bool {
		w := value.(*mirror)
		out = append(out, Count{
			Upstream: name.(string),
			Equal:    w.outcomes[equal].Load(), Different: w.outcomes[different].Load(),
			Failed: w.outcomes[failed].Load(), Dropped: w.outcomes[dropped].Load(),
		})
		return true
	})
	slices.SortFunc(out, func(a, b Count) int { return strings.Compare(a.Upstream, b.Upstream) })
	return out
}

// Close ends the copies under way and waits for them as long as ctx lasts.
func (m *Mirrors) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end(errors.New("mirrors are closed"))
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mirror is one upstream that gets copies.
type mirror struct {
	busy     atomic.Int64
	outcomes [outcomes]atomic.Uint64
}

// outcome is what became of a copy.
type outcome int

const (
	equal outcome = iota
	different
	failed
	dropped
	outcomes
)

// enter takes a place for a copy, if there is one.
func (w *mirror) enter() bool {
	if w.busy.Add(1) <= mirrorSlot {
		return true
	}
	w.busy.Add(-1)
	return false
}

// leave notes what became of a copy and gives its place back.
func (w *mirror) leave(o outcome) {
	w.outcomes[o].Add(1)
	w.busy.Add(-1)
}

func (m *Mirrors) of(upstream string) *mirror {
	if w, ok := m.byName.Load(upstream); ok {
		return w.(*mirror)
	}
	w, _ := m.byName.LoadOrStore(upstream, &mirror{})
	return w.(*mirror)
}

// Follow makes a copy of a call whose reply has begun, at the upstream of the name, and compares the answers. It waits
// for nothing: the reply that it returns gives what the one that it got does. Dial makes the copy, which is its own to
// change.
func (m *Mirrors) Follow(ctx context.Context, upstream string, c *rpc.Call, reply *rpc.Reply, dial rpc.HandlerFunc) *rpc.Reply {
	w := m.of(upstream)
	if c.Message.Size() > mirrorSize || !w.enter() {
		w.outcomes[dropped].Add(1)
		return reply
	}
	o := &observed{Reply: reply, answered: make(chan answer, 1)}
	again := copyOf(c)
	if !m.run(ctx, func(ctx context.Context) {
		result := failed
		defer func() {
			if v := recover(); v != nil { // there is nobody above who could
				m.log.ErrorContext(ctx, "panic", "method", again.Method.Name, "panic", v, "stack", string(debug.Stack()))
			}
			w.leave(result)
		}()
		result = o.compare(ctx, dial, again)
	}) {
		w.leave(dropped)
		return reply
	}
	out := rpc.NewReply(o)
	out.Header, out.Revision = reply.Header, reply.Revision
	return out
}

// run starts work with the values of ctx, unless there shall be none any more.
func (m *Mirrors) run(ctx context.Context, work func(ctx context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mirrorTime)
	stop := context.AfterFunc(m.ending, cancel)
	m.work.Go(func() {
		defer cancel()
		defer stop()
		work(ctx)
	})
	return true
}

// copyOf returns a call that outlives its request and in which nobody can be asked anything: it has no session, and declares nothing.
func copyOf(c *rpc.Call) *rpc.Call {
	if _, wanted := c.Message.Meta(mcp.MetaProgress); wanted { // nobody is told of the progress of a copy
		silent := *c
		silent.Message = c.Message.Fork()
		silent.Message.DropMeta(mcp.MetaProgress)
		c = &silent
	}
	out := c.Detach()
	out.Record, out.Flight = c.Record.Aside("mirror"), nil
	out.Client.Session, out.Client.LogLevel, out.Client.Capabilities = "", "", json.RawMessage("{}")
	return out
}
