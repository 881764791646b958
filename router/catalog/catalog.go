package catalog

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// Source is an upstream as the catalogue sees it.
type Source struct {
	Name     string
	Key      any                                            // comparable: equal for sources that list the same; nil is equal to nothing
	Handler  rpc.Handler                                    // asks it, below the policies
	Describe func(ctx context.Context) (Description, error) // may do I/O
	Allows   func(own string) bool                          // which of its tools exist for us
	Unsaid   time.Duration                                  // how long lists are kept of which it does not say that; 0 for 30 seconds
	Review   Reviewer                                       // of what it lists; nil if everything is delivered
	Listed   bool                                           // only what it lists and nobody withholds may be called
	Apart    bool                                           // it is the gateway's own: shown where a view names it, and its tools are called what it calls them
}

// Description is what a server says of itself.
type Description struct {
	Era          rpc.Era
	HTTP         bool
	Server       string // what it calls itself
	Capabilities json.RawMessage
	Instructions string
}

// Audience tells clients apart to whom a server may list different things: by what
// the client can be asked.
type Audience struct {
	Era      rpc.Era
	Features string
}

// Anybody is the audience of clients that declare nothing, whatever their era.
var Anybody = Audience{Era: rpc.Modern}

// AudienceOf returns the audience a client belongs to.
func AudienceOf(c rpc.Client) Audience {
	if features := mcp.Features(c.Capabilities); features != "" {
		return Audience{Era: c.Era, Features: features}
	}
	return Anybody
}

// Catalog keeps the snapshots of all upstreams. All methods may be called by many
// goroutines at once.
type Catalog struct {
	log         *slog.Logger
	keys        *seal.Keyring
	set         atomic.Pointer[Set]
	begun       bool                     // something was listed from; guarded by mu
	generations [listCount]atomic.Uint64 // each rises with every snapshot of its list
	tables      sync.Map                 // tableKey → *Table
	special     atomic.Int64             // how many of them are not for anybody
	owners      *owners
	changes     changes

	ctx     context.Context //nolint:containedctx // the life of the background drains, ended by Close
	cancel  context.CancelFunc
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// New returns a catalogue of sources in the order given. Its background work ends
// with ctx or [Catalog.Close]. Cursors are sealed with keys.
func New(ctx context.Context, sources []Source, keys *seal.Keyring, log *slog.Logger) *Catalog {
	ctx, cancel := context.WithCancel(ctx)
	c := &Catalog{
		log: log, keys: keys, owners: newOwners(), ctx: ctx, cancel: cancel,
	}
	c.set.Store(&Set{})
	first := c.Prepare(sources)
	for _, feeds := range first.feeds {
		for l := range feeds {
			feeds[l].live = true
		}
	}
	c.set.Store(first)
	c.begun = len(sources) > 0
	return c
}

// feeds returns the feeds of an upstream; nil if there is none of this name.
func (c *Catalog) feeds(upstream string) *[listCount]feed { return c.set.Load().feeds[upstream] }

// setOf returns the sources of a view.
func (c *Catalog) setOf(v *View) *Set {
	if v.Set != nil {
		return v.Set
	}
	return c.set.Load()
}

// OnChange sets who is told that lists changed. It must be called before anything is
// listed; f must not block.
func (c *Catalog) OnChange(f func(Change)) { c.changes.tell = f }

// Notice tells the catalogue that an upstream sent a notification, which concerns
// it if the method is one of those that say that a list changed.
func (c *Catalog) Notice(upstream, method string) {
	feeds := c.feeds(upstream)
	for l := range listCount {
		if feeds != nil && l.traits().changed == method {
			feeds[l].notice()
		}
	}
}

// Warm drains upstreams, without names every one, for clients that declare nothing
// and waits until all have answered or failed, or ctx ends.
func (c *Catalog) Warm(ctx context.Context, upstreams ...string) {
	c.set.Load().Warm(ctx, upstreams...)
}

// Status is what is known of one upstream's lists.
type Status struct {
	Tools   int
	Drained bool  // a snapshot exists
	Err     error // why the last drain failed; nil if it did not
}

// Status returns what is known of an upstream's lists, without I/O.
func (c *Catalog) Status(upstream string) Status {
	feeds := c.feeds(upstream)
	if feeds == nil {
		return Status{}
	}
	f := &feeds[toolList]
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.slots[Anybody]
	if s == nil {
		return Status{}
	}
	st := Status{Err: s.failure, Drained: s.current != nil}
	if s.current != nil {
		for i := range s.current.items {
			if s.current.items[i].withheld == "" {
				st.Tools++
			}
		}
	}
	return st
}

// Close ends the background work and waits for it.
func (c *Catalog) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for _, feeds := range c.set.Load().feeds {
		for l := range feeds {
			feeds[l].stop()
		}
	}
	c.changes.stop()
	c.cancel()
	c.running.Wait()
}

// background runs work under the catalogue's context; false if it is closed.
func (c *Catalog) background(work func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ctx.Err() != nil {
		return false
	}
	c.running.Go(func() { work(c.ctx) })
	return true
}

// ownClient is the gateway itself as a client: it declares nothing, so that what it
// is shown is what anybody may see.
func ownClient() rpc.Client {
	return rpc.Client{Revision: mcp.LatestModern, Era: rpc.Modern, Capabilities: json.RawMessage(`{}`)}
}
