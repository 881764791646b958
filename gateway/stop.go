package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// stop is how one part is ended.
type stop struct {
	name string
	end  func(ctx context.Context) error
}

// onStop registers how a part is ended. Parts end in the reverse order, so each can
// use those that were made before it until it is gone itself.
func (g *Gateway) onStop(name string, end func(ctx context.Context) error) {
	g.stops = append(g.stops, stop{name, end})
}

// Drain tells load balancers that no more traffic should come, by readiness, and
// gives them the grace period to notice. Everything is still served meanwhile.
func (g *Gateway) Drain(ctx context.Context) {
	g.ready.Store(false)
	timer := time.NewTimer(g.generation().cfg.Shutdown.Grace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Stop ends the gateway: no new connections, streams end, calls in flight get the
// drain time, then upstreams end. A part that fails to end does not keep the others
// from it; all errors are joined. Stop may be called once, instead of [Gateway.StopNow].
func (g *Gateway) Stop(ctx context.Context) error {
	g.ready.Store(false)
	if g.sessions != nil {
		g.sessions.EndStreams()
	}
	if g.subscriptions != nil {
		g.subscriptions.EndStreams()
	}
	var errs []error
	for _, s := range slices.Backward(g.stops) {
		if err := s.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

// StopNow is [Gateway.Stop] without the drain time: calls in flight are cut off.
func (g *Gateway) StopNow(ctx context.Context) error {
	g.drain = 0
	return g.Stop(ctx)
}
