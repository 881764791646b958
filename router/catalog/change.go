package catalog

import (
	"sync"
	"time"
)

// together is how long what changes waits for other changes: many clients list again at once when they are told, so
// that upstreams which change together, as those of one deployment do, are told of together.
const together = 50 * time.Millisecond

// Change is that lists of upstreams are not what they were, or may not be. It must not be changed.
type Change struct {
	Method  string          // of the notification that says so
	touched map[string]diff // by upstream
}

// diff is the own names of the entries that came, went or became others; nil if any may have.
type diff map[string]bool

// Concerns reports whether a view shows any of the entries that changed.
func (ch Change) Concerns(v *View) bool {
	for upstream, names := range ch.touched {
		switch {
		case !v.Has(upstream):
		case names == nil:
			return true
		default:
			for own := range names {
				if v.Allows(own) && v.Allows(Canonical(upstream, own)) {
					return true
				}
			}
		}
	}
	return false
}

// changes collects what changed until it is told.
type changes struct {
	tell    func(Change)
	telling sync.Mutex // held meanwhile, and not with the other: what lists goes on

	mu      sync.Mutex
	waiting map[string]map[string]diff // by method and upstream
	timer   *time.Timer
	closed  bool
}

// add notes a change.
func (c *changes) add(method, upstream string, names diff) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tell == nil || c.closed {
		return
	}
	if c.timer == nil {
		c.waiting = map[string]map[string]diff{}
		c.timer = time.AfterFunc(together, c.flush)
	}
	touched := c.waiting[method]
	if touched == nil {
		touched = map[string]diff{}
		c.waiting[method] = touched
	}
	before, twice := touched[upstream]
	if twice && (before == nil || names == nil) {
		names = nil
	}
	for own := range before {
		if names != nil {
			names[own] = true
		}
	}
	touched[upstream] = names
}

// flush tells what waits.
func (c *changes) flush() {
	c.telling.Lock()
	defer c.telling.Unlock()
	for method, touched := range c.take() {
		c.tell(Change{method, touched})
	}
}

// take returns what waits, which then waits no more.
func (c *changes) take() map[string]map[string]diff {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.waiting
	c.waiting, c.timer = nil, nil
	if c.closed {
		return nil
	}
	return out
}

// stop tells nothing any more.
func (c *changes) stop() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.telling.Lock() // until what is being told has been
	defer c.telling.Unlock()
}

// compare returns in what two snapshots of a list of tools differ. What filters show of other lists does not depend
// on the entry, and of a list in another order everything moved.
func compare(l list, before, after *snapshot) diff {
	if l != toolList || before == nil {
		return nil
	}
	texts := make(map[string]string, len(before.items))
	for i := range before.items {
		if before.items[i].withheld == "" {
			texts[before.items[i].own] = string(before.items[i].text)
		}
	}
	out := diff{}
	for i := range after.items {
		own := after.items[i].own
		if after.items[i].withheld != "" {
			continue
		}
		if text, ok := texts[own]; !ok || text != string(after.items[i].text) {
			out[own] = true
		}
		delete(texts, own)
	}
	for own := range texts {
		out[own] = true
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
