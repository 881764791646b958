package pin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is what follows from a change that nobody has approved.
type Mode string

// The modes. In each of them changes are logged and wait for approval.
const (
	Observe    Mode = "observe"    // nothing else
	Warn       Mode = "warn"       // logged as a warning and shown in the upstream's state
	Quarantine Mode = "quarantine" // and what is new or changed is neither listed nor called
	Block      Mode = "block"      // and nothing of the upstream is called
)

// withholds reports whether a mode keeps what nobody has approved from clients.
func (m Mode) withholds() bool { return m == Quarantine || m == Block }

// Options are what a book is made of.
type Options struct {
	Dir   string          // the data directory; empty keeps everything in memory
	Modes map[string]Mode // by upstream, to begin with; it must not be changed
	Log   *slog.Logger
}

// Book compares what upstreams list with what is trusted. All methods may be called by many goroutines at once.
type Book struct {
	Options
	known    atomic.Pointer[upstreams]
	approved func(upstream string) // set before anything is reviewed

	disk  sync.Mutex // one change of the files at a time; taken before mu
	stamp stamp      // of the file as it was read or written last
	said  string     // the last problem with the files, logged once

	mu      sync.Mutex
	pins    Pins
	unsaved []scope // trusted at first sight since the file was written
	sights  map[scope]*sight
	waiting bool // what waits is not in its file yet
	stirred bool // names or definitions changed since they were compared

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// upstreams are those of a configuration. They never change, but for whether one is blocked.
type upstreams struct {
	modes   map[string]Mode
	blocked map[string]*atomic.Bool
}

// adoptModes makes other upstreams those that are known, each with what is known of it.
func (b *Book) adoptModes(modes map[string]Mode) {
	next := &upstreams{modes: modes, blocked: make(map[string]*atomic.Bool, len(modes))}
	old := b.known.Load()
	for upstream := range modes {
		next.blocked[upstream] = new(atomic.Bool)
		if old != nil && old.blocked[upstream] != nil {
			next.blocked[upstream] = old.blocked[upstream]
		}
	}
	b.known.Store(next)
}

// Configure says which upstreams there are from now on, and what follows from a change of each. What is known of those
// that stay is kept, and so is what is trusted of those that go. The map must not be changed any more.
func (b *Book) Configure(modes map[string]Mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.adoptModes(modes)
	for at := range b.sights {
		if _, known := modes[at.upstream]; !known {
			delete(b.sights, at)
			b.waiting, b.stirred = true, true
		}
	}
	for upstream := range modes {
		b.settle(upstream)
	}
}

// Mode returns what follows from a change of an upstream.
func (b *Book) Mode(upstream string) Mode { return b.known.Load().modes[upstream] }

// scope is one list of one upstream as one audience is shown it. The audience is empty for what is trusted, and for clients
// that declare nothing.
type scope struct{ upstream, kind, audience string }

// Open returns a book with what the files in the data directory hold, which is made if it is not there. A file that cannot be
// understood is an error.
func Open(opts Options) (*Book, error) {
	b := &Book{Options: opts, approved: func(string) {}, cancel: func() {}, pins: Pins{}, sights: map[scope]*sight{}}
	b.adoptModes(opts.Modes)
	if opts.Dir != "" {
		if err := b.load(); err != nil {
			return nil, fmt.Errorf("pins: %w", err)
		}
	}
	return b, nil
}

// Watch takes up approvals, and writes what waits, in the background until ctx ends or [Book.Close]. approved is told
// that what is trusted of an upstream has changed, so that what it lists is to be reviewed again; it must not block. Watch
// is called before anything is reviewed.
func (b *Book) Watch(ctx context.Context, approved func(upstream string)) {
	b.approved = approved
	ctx, b.cancel = context.WithCancel(ctx)
	b.running.Go(func() { b.run(ctx) })
}

// restored is the audience of what waited when the process began. It waits until the upstream has listed again.
const restored = "\x00"

// load reads both files.
func (b *Book) load() error {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return err
	}
	records, err := Load(b.Dir)
	if err != nil {
		return err
	}
	b.pins, b.stamp = records.Pins, records.stamp
	for _, c := range records.Changes {
		if _, known := b.Modes[c.Upstream]; known {
			s := b.sight(scope{c.Upstream, c.Kind, restored})
			s.changes = append(s.changes, c)
		}
	}
	for upstream := range b.Modes {
		b.settle(upstream)
	}
	return nil
}

// Close ends the background work, which writes what waits.
func (b *Book) Close() {
	b.cancel()
	b.running.Wait()
}

// Waiting returns how many definitions of an upstream wait for approval.
func (b *Book) Waiting(upstream string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, c := range b.changes(upstream) {
		if c.Change != Removed {
			n++
		}
	}
	return n
}

// changes collects what waits, of one upstream or, without its name, of all. The caller holds b.mu.
func (b *Book) changes(upstream string) []Change {
	var all []Change
	for at, s := range b.sights {
		if upstream == "" || at.upstream == upstream {
			all = append(all, s.changes...)
		}
	}
	return sorted(all)
}

// settle notes whether an upstream is to be called. That it lists more to clients that can be asked is no reason not to, or
// any client could block it for all by what it declares; what is more is withheld. The caller holds b.mu, or has the book alone.
func (b *Book) settle(upstream string) {
	bad := false
	for at, s := range b.sights {
		if at.upstream == upstream {
			bad = bad || s.has(Changed) || at.audience == "" && s.has(New)
		}
	}
	known := b.known.Load()
	if flag := known.blocked[upstream]; flag != nil {
		flag.Store(bad && known.modes[upstream] == Block)
	}
}

// How often the files are looked at, and names are compared at most.
const (
	lookInterval    = time.Second
	compareInterval = 10 * time.Second
)

// run does the background work.
func (b *Book) run(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	m := mentioned{said: map[string]bool{}}
	for {
		select {
		case <-tick.C:
			b.refresh()
			b.save()
			b.savePending()
			if time.Now().After(m.next) {
				m.look(b)
			}
		case <-ctx.Done():
			b.save()
			b.savePending()
			return
		}
	}
}
