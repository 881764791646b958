package upstream

import (
	"slices"
	"sync"
	"time"
)

const (
	// unprobed is how long an idle connection is trusted whose state cannot be asked of the system.
	unprobed = time.Second
	// lingering is how long, at the least, a connection is kept for the end of an answer that was finished early.
	lingering = 2 * time.Second
)

// poolKey names connections that may stand for one another.
type poolKey struct {
	secure bool
	addr   string
}

// pool keeps the idle connections to one host. Its lock is never held over input or output.
type pool struct {
	most  int
	idle  time.Duration
	names *names // nil where the host has an address and no name

	mu       sync.Mutex
	whole    []*conn // whose answers were read wholly; the last one is used next, so that surplus ones grow old
	settling []*conn // which the end of an answer may still have to reach; the first one is used next
	timer    *time.Timer
	wake     time.Time // when the timer fires; zero if it does not run
}

// push takes a connection whose last answer, but for rest, was read. keepAlive is what the server said about it, or zero.
func (p *pool) push(c *conn, rest framing, keepAlive time.Duration) {
	wait := p.idle
	if keepAlive > 0 {
		wait = min(wait, keepAlive-min(time.Second, keepAlive/2))
	}
	if c.socket == nil {
		wait = min(wait, unprobed)
	}
	c.rest, c.expires = rest, time.Now().Add(wait)
	c.shrink()
	if !p.names.current(c) {
		c.close()
		return
	}
	p.keep(c)
}

// keeps reports whether there are idle connections.
func (p *pool) keeps() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.whole)+len(p.settling) > 0
}

// leave closes the idle connections to where the host's name does not lead any more.
func (p *pool) leave() {
	p.mu.Lock()
	var old []*conn
	stays := func(c *conn) bool {
		if p.names.current(c) {
			return true
		}
		old = append(old, c)
		return false
	}
	p.whole = slices.DeleteFunc(p.whole, func(c *conn) bool { return !stays(c) })
	p.settling = slices.DeleteFunc(p.settling, func(c *conn) bool { return !stays(c) })
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// keep puts an idle connection where it belongs.
func (p *pool) keep(c *conn) {
	p.mu.Lock()
	full := len(p.whole)+len(p.settling) >= p.most
	switch {
	case full:
	case c.rest.done:
		p.whole = append(p.whole, c)
		p.schedule(c.expires)
	default:
		p.settling = append(p.settling, c)
		p.schedule(time.Now().Add(lingering))
	}
	p.mu.Unlock()
	if full {
		c.close()
	}
}

// schedule lets the sweep happen no later than at a time. A sweep that comes early does no harm, so the timer is only ever
// moved forward. The caller holds the lock.
func (p *pool) schedule(at time.Time) {
	if !p.wake.IsZero() && !at.Before(p.wake) {
		return
	}
	p.wake = at
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Until(at), p.sweep)
	} else {
		p.timer.Reset(time.Until(at))
	}
}

// take removes the connection to be used next, or returns nil.
func (p *pool) take() (c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.whole) - 1; n >= 0 {
		c, p.whole[n] = p.whole[n], nil
		p.whole = p.whole[:n]
	} else if len(p.settling) > 0 {
		c = p.settling[0]
		p.settling = slices.Delete(p.settling, 0, 1)
	}
	return c
}

// pop returns a connection that can serve, or nil.
func (p *pool) pop() *conn {
	for {
		c := p.take()
		if c == nil {
			return nil
		}
		if time.Now().Before(c.expires) && p.names.current(c) {
			switch c.settle() {
			case ready:
				return c
			case waiting:
				p.keep(c) // as the first of its kind it had waited longest: the others are not ready either
				return nil
			case broken:
			}
		}
		c.abort()
	}
}

// sweep closes what has expired, and what was finished early and has still not come to an end.
func (p *pool) sweep() {
	p.mu.Lock()
	p.wake = time.Time{}
	settling := p.settling
	p.settling = nil
	now := time.Now()
	var expired []*conn
	p.whole = slices.DeleteFunc(p.whole, func(c *conn) bool {
		if now.Before(c.expires) {
			p.schedule(c.expires)
			return false
		}
		expired = append(expired, c)
		return true
	})
	p.mu.Unlock()

	for _, c := range settling {
		if c.settle() == ready {
			p.keep(c)
		} else {
			expired = append(expired, c)
		}
	}
	for _, c := range expired {
		c.close()
	}
}

// drain closes all.
func (p *pool) drain() {
	p.names.stop()
	p.mu.Lock()
	all := slices.Concat(p.whole, p.settling)
	p.whole, p.settling = nil, nil
	if p.timer != nil {
		p.timer.Stop()
		p.wake = time.Time{}
	}
	p.mu.Unlock()

	for _, c := range all {
		c.close()
	}
}
