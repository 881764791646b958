package mcpserver

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	// maxPrivate bounds the links that belong to one client session each, so that
	// clients cannot make the gateway start processes without end.
	maxPrivate = 64
	// privateIdle is how long such a link may go unused. Many clients never say
	// that they end their session.
	privateIdle = 15 * time.Minute
)

// linkKey says which calls may share a link. Features is what the client lets a
// server ask for: where that is nothing, all clients share one link and session is
// empty, else a question must reach the one client it was meant for. That is the client of a
// session or, of modern clients, the owner's whose call has the lane.
type linkKey struct {
	era      rpc.Era
	session  string
	owner    string
	features string
	lane     int
}

func (k linkKey) private() bool { return k.features != "" }

// keyOf returns the key of a call's link in an era. Modern links carry no state.
func keyOf(c *rpc.Call, era rpc.Era) linkKey {
	if era == rpc.Modern {
		return linkKey{era: era}
	}
	features := mcp.Features(declared(c.Client))
	switch {
	case features == "":
		return linkKey{era: era}
	case c.Client.Era == rpc.Modern:
		return linkKey{era: era, owner: ownerOf(&c.Principal), features: features}
	case c.Client.Session == "":
		return linkKey{era: era}
	}
	return linkKey{era: era, session: c.Client.Session, features: features}
}

// declared returns the capabilities that a legacy server is told of a client.
func declared(c rpc.Client) json.RawMessage {
	if c.Era == rpc.Modern {
		return mcp.Carried(c)
	}
	return c.Capabilities
}

// links is the table of open links.
type links struct {
	mu   sync.Mutex
	open map[linkKey]*seat
	idle *time.Timer // runs while there are private links
	over bool
	// lasted is told of each link that leaves, and how long it was here; nil tells nobody. It must not block.
	lasted func(link, time.Duration)
}

// seat is a link's place in the table.
type seat struct {
	link  link
	since time.Time
	used  time.Time
	held  int // by who is about to use it, and by tasks that run on it without a call in flight
}

// idle reports whether nothing needs the link now.
func (s *seat) idle() bool { return s.held == 0 && !s.link.busy() }

// claim is find for who is about to use the link: one that is private does not have to leave
// for others until it is given back by hold.
func (t *links) claim(k linkKey) link {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[k]
	if s == nil || !s.link.alive() {
		return nil
	}
	if k.private() {
		s.used = time.Now()
		s.held++
	}
	return s.link
}

// hold changes how many hold a link, if it is still in its place.
func (t *links) hold(k linkKey, l link, more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.open[k]; s != nil && s.link == l {
		s.held += more
	}
}

// find returns the live link of a key, or nil.
func (t *links) find(k linkKey) link {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[k]
	if s == nil || !s.link.alive() {
		return nil
	}
	if k.private() {
		s.used = time.Now()
	}
	return s.link
}

// add puts a link in the table and returns those that had to leave: the one it
// replaces, and the private one that was idle longest if there were too many. It
// reports false if there is no room, or none any more.
func (t *links) add(k linkKey, l link, expired func()) (gone []link, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil, false
	}
	if old := t.open[k]; old != nil {
		gone = append(gone, old.link)
		t.vacate(k)
	}
	if k.private() {
		if t.privates() >= maxPrivate {
			idle := t.takeIdlest()
			if idle == nil {
				return gone, false
			}
			gone = append(gone, idle)
		}
		if t.idle == nil {
			t.idle = time.AfterFunc(privateIdle, expired)
		}
	}
	if t.open == nil {
		t.open = make(map[linkKey]*seat)
	}
	now := time.Now()
	t.open[k] = &seat{link: l, since: now, used: now}
	return gone, true
}

// vacate takes the link of a key out of the table. The lock is held.
func (t *links) vacate(k linkKey) {
	s := t.open[k]
	delete(t.open, k)
	if t.lasted != nil {
		t.lasted(s.link, time.Since(s.since))
	}
}

func (t *links) privates() (n int) {
	for k := range t.open {
		if k.private() {
			n++
		}
	}
	return n
}

// takeIdlest removes the private link that was used longest ago, of those without a
// call in flight.
func (t *links) takeIdlest() link {
	var key linkKey
	var oldest *seat
	for k, s := range t.open {
		if k.private() && s.idle() && (oldest == nil || s.used.Before(oldest.used)) {
			key, oldest = k, s
		}
	}
	if oldest == nil {
		return nil
	}
	t.vacate(key)
	return oldest.link
}

// remove takes a link out of the table if it is still the one in its place.
func (t *links) remove(k linkKey, l link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.open[k]; s == nil || s.link != l {
		return false
	}
	t.vacate(k)
	return true
}

// forget takes a link out of the table wherever it is, and reports whether it was
// there and is not somebody's own.
func (t *links) forget(l link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, s := range t.open {
		if s.link == l {
			t.vacate(k)
			return !k.private()
		}
	}
	return false
}

// keyOf returns the key of a link, if it is in the table.
func (t *links) keyOf(l link) (linkKey, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, s := range t.open {
		if s.link == l {
			return k, true
		}
	}
	return linkKey{}, false
}

// expire removes the private links that were not used for a while. While others are
// left it looks again later.
func (t *links) expire(now time.Time) (gone []link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, s := range t.open {
		if k.private() && s.idle() && now.Sub(s.used) >= privateIdle {
			gone = append(gone, s.link)
			t.vacate(k)
		}
	}
	if t.privates() > 0 && !t.over {
		t.idle.Reset(privateIdle / 4)
	} else {
		t.idle = nil
	}
	return gone
}

// endSession removes the links that are a client session's own.
func (t *links) endSession(session string) (gone []link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, s := range t.open {
		if k.private() && k.session == session {
			gone = append(gone, s.link)
			t.vacate(k)
		}
	}
	return gone
}

// end removes all links and takes no more.
func (t *links) end() (gone []link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.idle != nil {
		t.idle.Stop()
	}
	for k, s := range t.open {
		gone = append(gone, s.link)
		t.vacate(k)
	}
	t.open = nil
	return gone
}

// closeAll closes links at the same time and waits for them.
func closeAll(ctx context.Context, gone []link) {
	var all sync.WaitGroup
	for _, l := range gone {
		all.Go(func() { l.close(ctx) })
	}
	all.Wait()
}
