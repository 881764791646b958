package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	// openTimeout bounds connecting and the handshake. Some servers are installed
	// when they are first started.
	openTimeout = 60 * time.Second
	// closeTimeout bounds closing a link that nobody waits for.
	closeTimeout = 10 * time.Second
)

// linkFor returns the link that a call uses, opened if need be. A private one is claimed.
func (s *Server) linkFor(ctx context.Context, c *rpc.Call) (linkKey, link, error) {
	if s.cfg.Disabled != "" {
		return linkKey{}, nil, s.fault.down(nil, "is switched off: %s", s.cfg.Disabled)
	}
	c = s.lent(c)
	for range 3 { // a probe that was answered too late is made up for by a second one
		known, err := s.spoken(ctx)
		if err != nil {
			return linkKey{}, nil, err
		}
		k, err := s.lanes.take(ctx, keyOf(c, known.serve(c)))
		if err != nil {
			return k, nil, err
		}
		if l := s.links.claim(k); l != nil {
			return k, l, nil
		}
		l, err := s.await(ctx, fmt.Sprint("open ", k), func(ctx context.Context) (link, error) { return s.open(ctx, k, c.Client) })
		if err == nil && k.private() {
			if l = s.links.claim(k); l == nil {
				err = s.fault.make(rpc.Busy, nil, "serves as many client sessions of their own as it may") // it had to leave for another's
			}
		}
		if err == nil {
			return k, l, nil
		}
		s.lanes.give(k)
		if s.reconsider(known, k.era, err) {
			continue
		}
		if errors.Is(err, errOtherEra) {
			err = s.fault.failed(err, "does not speak the %s era that its configuration pins it to", k.era)
			s.board.down(err)
		}
		return k, nil, err
	}
	err := s.fault.failed(errOtherEra, "speaks no protocol version that is spoken here")
	s.board.down(err)
	return linkKey{}, nil, err
}

// reconsider draws the conclusion from a link that could not be opened, and reports
// whether another era is worth trying.
func (s *Server) reconsider(known *eras, tried rpc.Era, err error) bool {
	if errors.Is(err, errSessionless) {
		return true
	}
	other := errors.Is(err, errOtherEra)
	if s.pinned || !other && rpc.AsError(err).Code != rpc.UpstreamFailed {
		return false // it cannot be reached, which says nothing about what it speaks
	}
	if known.modern && known.legacy && tried == rpc.Legacy {
		// It names legacy revisions and opens no sessions.
		return s.eras.CompareAndSwap(known, &eras{modern: true})
	}
	if s.eras.CompareAndSwap(known, nil) {
		s.turns.doubt(known)
	}
	return other || !known.tentative // it may have become another server
}

// spoken returns what is known of the upstream's eras, asking it if nothing is.
func (s *Server) spoken(ctx context.Context) (*eras, error) {
	if known := s.eras.Load(); known != nil {
		return known, nil
	}
	_, err := s.await(ctx, "probe", s.probe)
	if err != nil {
		return nil, err
	}
	if known := s.eras.Load(); known != nil {
		return known, nil
	}
	return nil, s.fault.failed(errOtherEra, "speaks no protocol version that is spoken here")
}

// probe asks the upstream in the modern way. That it is legacy follows from an answer
// that is not modern, and stays tentative until a handshake confirms it.
func (s *Server) probe(ctx context.Context) (link, error) {
	if s.eras.Load() != nil {
		return nil, nil //nolint:nilnil // another flight has just landed; only the knowledge is wanted
	}
	l, err := s.open(ctx, linkKey{era: rpc.Modern}, rpc.Client{Era: rpc.Modern})
	switch {
	case err == nil:
		s.eras.Store(&eras{modern: true, legacy: l.description().bothEras})
	case errors.Is(err, errOtherEra):
		s.eras.Store(&eras{legacy: true, tentative: true})
	default:
		return nil, err
	}
	return l, nil
}

// open opens the link of a key and puts it in the table.
func (s *Server) open(ctx context.Context, k linkKey, client rpc.Client) (link, error) {
	if l := s.links.find(k); l != nil {
		return l, nil
	}
	known := s.eras.Load()
	h := hello{info: s.info, pinned: s.pinned, known: known != nil && !known.tentative}
	if k.private() {
		h.info, h.caps = bytes.Clone(infoOf(client, s.info)), bytes.Clone(declared(client))
		h.turns = k.owner != ""
	}
	l, err := s.dial.open(ctx, k.era, h)
	if err != nil {
		if !errors.Is(err, errOtherEra) && s.life.Err() == nil {
			s.board.down(err)
		}
		return nil, err
	}
	if k.private() && s.withoutSession(known, l) {
		s.retire([]link{l})
		return nil, errSessionless
	}
	gone, ok := s.links.add(k, l, func() { s.retire(s.links.expire(time.Now())) })
	s.retire(gone)
	if !ok {
		s.retire([]link{l})
		return nil, s.fault.make(rpc.Busy, nil, "serves as many client sessions of their own as it may")
	}
	if known != nil && known.tentative {
		s.eras.CompareAndSwap(known, &eras{legacy: true})
	}
	changed := s.turns.settle(k.era, time.Now())
	if changed {
		s.board.turned(l.description())
	}
	if again := s.board.up(l.description(), !k.private()); again || changed {
		s.announceChange(l.description())
	}
	if !k.private() {
		s.watch.opened(l.description())
	}
	return l, nil
}

// await runs work once for all who want it at the same time. It goes on when the
// caller gives up, because others may wait for it.
func (s *Server) await(ctx context.Context, name string, work func(context.Context) (link, error)) (link, error) {
	done := s.flights.DoChan(name, func() (any, error) {
		if !s.life.begin() {
			return nil, s.fault.down(errClosed, "is shutting down")
		}
		defer s.life.work.Done()
		ctx, cancel := context.WithTimeout(s.life, openTimeout)
		defer cancel()
		return work(ctx)
	})
	select {
	case r := <-done:
		l, _ := r.Val.(link)
		return l, r.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// discard takes a link out of use that turned out to be stale.
func (s *Server) discard(k linkKey, l link, why *stale) {
	if s.links.remove(k, l) {
		s.retire([]link{l})
	}
	if why.era && !s.pinned {
		s.turns.doubt(s.eras.Swap(nil))
	}
}

// refresh asks a stateless server again who it is, if what it said has become old. If
// that fails, what it said before still holds.
func (s *Server) refresh(ctx context.Context, l link) {
	m, ok := l.(*modernHTTP)
	if !ok || !m.outdated(time.Now()) {
		return
	}
	_, err := s.await(ctx, "describe", func(ctx context.Context) (link, error) {
		if !m.outdated(time.Now()) {
			return m, nil
		}
		return m, m.discover(ctx, hello{info: s.info, pinned: s.pinned, known: true})
	})
	if err != nil {
		s.log.DebugContext(ctx, "upstream did not say again who it is", "error", err.Error())
	}
}

// retire closes links that nobody uses any more, in the background, or at once if the server is being closed itself.
func (s *Server) retire(gone []link) {
	for _, l := range gone {
		end := func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), closeTimeout)
			defer cancel()
			l.close(ctx)
		}
		if !s.life.runLast(end) {
			end()
		}
	}
}

// ended notes that a link ended by itself.
func (s *Server) ended(l link, why error) {
	if s.links.forget(l) {
		s.board.down(why)
		s.watch.stir()
	}
}

// announceChange tells that everything the upstream lists may have changed: a new
// session or process need not offer what the last one did.
func (s *Server) announceChange(d *Description) {
	for _, list := range mcp.ListChanges {
		if d.has(list.Capability) {
			s.announce(rpc.NewNotification(list.Method, nil))
		}
	}
}

// noDialer is the dialer of an upstream that is switched off.
type noDialer struct{}

func (noDialer) open(context.Context, rpc.Era, hello) (link, error) { return nil, errClosed }
func (noDialer) transport() string                                  { return "" }
func (noDialer) close(context.Context)                              {}
