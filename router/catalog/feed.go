package catalog

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// How a feed behaves around failures and notices.
const (
	drainTimeout = 30 * time.Second
	retryFirst   = time.Second
	retryLast    = 30 * time.Second
	settle       = 100 * time.Millisecond // notices within it cause one drain
	settleLast   = 30 * time.Second       // for upstreams whose notices mean nothing
	maxAudiences = 64                     // kept per upstream
	believed     = 4 * settle             // while a feed waits no longer, its notices are passed on
)

// feed keeps the snapshots of one list of one upstream, one for each audience.
type feed struct {
	source  Source
	list    list
	catalog *Catalog

	mu    sync.Mutex
	slots map[Audience]*slot
	quiet time.Duration // how long to wait after a notice before draining
	timer *time.Timer   // a drain that a notice caused, if one is pending
	told  bool          // whether a notice caused the running drains
	live  bool          // whether clients are told of changes
	over  bool          // nothing is fetched any more
}

// slot is the place of one audience's snapshot. Its fields are guarded by feed.mu.
type slot struct {
	client   rpc.Client
	current  *snapshot
	failure  error
	failures int
	retry    *time.Timer
	busy     chan struct{} // closed when the running drain ends; nil if none runs
	used     time.Time
}

// look returns what is known now and starts a drain if that is nothing or too old.
// The channel is closed when a running drain ends; it is nil if none runs.
func (f *feed) look(a Audience, client rpc.Client, now time.Time) (*snapshot, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, s := f.slot(a, client, now)
	stale := s.current == nil && s.retry == nil || s.current != nil && now.After(s.current.expires) && s.retry == nil
	if stale && s.busy == nil {
		f.start(a, s)
	}
	return s.current, s.busy, s.failure
}

// renew drains again now, whatever is known, unless that was just done. The channel is
// closed when the drain ends; it is nil if none runs.
func (f *feed) renew(a Audience, client rpc.Client, now time.Time) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, s := f.slot(a, client, now)
	if s.busy == nil && (s.current == nil || now.Sub(s.current.at) >= minTTL) {
		f.start(a, s)
	}
	return s.busy
}

// common returns the snapshot that is shown to clients which declare nothing, nil if
// there is none.
func (f *feed) common() *snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.slots[Anybody]; s != nil {
		return s.current
	}
	return nil
}

// slot returns the place of an audience. Where all are taken by lists that are just being
// fetched, that is the one of clients which declare nothing.
func (f *feed) slot(a Audience, client rpc.Client, now time.Time) (Audience, *slot) {
	s := f.slots[a]
	if s == nil {
		if len(f.slots) >= maxAudiences && !f.evict() && a != Anybody {
			return f.slot(Anybody, ownClient(), now)
		}
		s = &slot{client: kept(client)}
		f.slots[a] = s
	}
	s.used = now
	if s.client.Session != client.Session {
		s.client = kept(client) // the session that is surely alive
	}
	return a, s
}

// kept returns a client that outlives its call, whose bytes are used again.
func kept(c rpc.Client) rpc.Client {
	c.Info, c.Capabilities = bytes.Clone(c.Info), bytes.Clone(c.Capabilities)
	return c
}

// evict forgets the audience that was looked at longest ago, and reports whether there
// was one to forget.
func (f *feed) evict() bool {
	var oldest Audience
	var at time.Time
	for a, s := range f.slots {
		if a != Anybody && s.busy == nil && (at.IsZero() || s.used.Before(at)) {
			oldest, at = a, s.used
		}
	}
	s := f.slots[oldest]
	if s == nil || oldest == Anybody {
		return false
	}
	s.stopRetry()
	delete(f.slots, oldest)
	return true
}

func (s *slot) stopRetry() {
	if s.retry != nil {
		s.retry.Stop()
		s.retry = nil
	}
}

// start drains in the background. The caller holds f.mu.
func (f *feed) start(a Audience, s *slot) {
	s.stopRetry()
	if f.over {
		return
	}
	s.busy = make(chan struct{})
	client := s.client
	if !f.catalog.background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		snap, problems, err := drain(ctx, f.source, f.list, client)
		for _, p := range problems {
			f.catalog.log.WarnContext(ctx, "upstream list", "upstream", f.source.Name, "problem", p.Error())
		}
		f.finish(a, s, snap, err)
	}) {
		close(s.busy)
		s.busy = nil
	}
}

// finish stores the outcome of a drain and tells whoever has to know.
func (f *feed) finish(a Audience, s *slot, snap *snapshot, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failed(a, s, err)
	} else {
		before := s.current
		changed := before == nil && s.failure != nil && len(snap.items) > 0 || before != nil && before.hash != snap.hash
		s.current, s.failure, s.failures = snap, nil, 0
		f.catalog.generations[f.list].Add(1)
		switch tell := f.calm(changed); {
		case !f.live:
		case changed:
			f.catalog.changes.add(f.list.traits().changed, f.source.Name, compare(f.list, before, snap))
		case tell && snap.offered: // a list that clients do not know of cannot have changed
			f.catalog.changes.add(f.list.traits().changed, f.source.Name, nil)
		}
	}
	close(s.busy)
	s.busy = nil
}

// failed keeps the last snapshot and tries again later, ever more rarely.
func (f *feed) failed(a Audience, s *slot, err error) {
	if s.failures == 0 && rpc.AsError(err).Code != rpc.UpstreamDown { // which the upstream has logged itself
		f.catalog.log.Warn("upstream list failed", "upstream", f.source.Name, "list", f.list.traits().member, "error", err.Error())
	}
	s.failure = err
	s.failures++
	f.catalog.generations[f.list].Add(1)
	if f.over {
		return
	}
	pause := min(retryFirst<<min(s.failures-1, 5), retryLast)
	s.retry = time.AfterFunc(pause, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.retry = nil; f.slots[a] == s && s.busy == nil {
			f.start(a, s)
		}
	})
}

// calm lets notices that turn out to mean nothing cost less and less: an upstream
// may send one whenever it is listed. It reports whether clients are to be told: of
// each change, and of the first few notices after one even if the list reads the
// same, because something that lists do not say may have changed.
func (f *feed) calm(changed bool) (tell bool) {
	tell = changed || f.told && f.quiet <= believed
	switch {
	case changed:
		f.quiet = settle
	case f.told:
		f.quiet = min(2*f.quiet, settleLast)
	}
	f.told = false
	return tell
}

// notice drains again, soon: the upstream said that something changed.
func (f *feed) notice() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil || f.over {
		return
	}
	f.timer = time.AfterFunc(f.quiet, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.timer, f.told = nil, true
		for a, s := range f.slots {
			if s.busy == nil {
				f.start(a, s)
			}
		}
	})
}

// stop ends the timers, and fetches nothing any more. Running drains end with the catalogue's context.
func (f *feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.live = true, false
	if f.timer != nil {
		f.timer.Stop()
	}
	for _, s := range f.slots {
		s.stopRetry()
	}
}
