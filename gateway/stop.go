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
// gives them the grace period to notice. Everything is still served meanwhile, but each answer
// asks its client to open another connection for the next request.
func (g *Gateway) Drain(ctx context.Context) {
	g.ready.Store(false)
	if g.clients != nil {
		g.clients.front.Leave()
	}
	timer := time.NewTimer(g.generation().cfg.Shutdown.Grace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Stop ends the gateway: no new connections, streams end, calls in flight and jobs that run get the
// drain time and are given up then (jobs for the next process to begin again), upstreams end. A part that fails to end does not keep the others
// from it; all errors are joined. Stop may be called once, instead of [Gateway.StopNow].
func (g *Gateway) Stop(ctx context.Context) error {
	g.ready.Store(false)
	g.stopReloads()
	var errs []error
	if g.clients == nil {
		g.endStreams()
	} else {
		patience := g.generation().cfg.Shutdown.Drain
		if g.hurry {
			patience = 0
		}
		drain, cancel := context.WithTimeout(ctx, patience)
		jobs := g.drainJobs(drain)
		if err := g.clients.leave(drain, g.endStreams); patience > 0 { // else it was asked for
			errs = append(errs, err)
		}
		<-jobs
		cancel()
	}
	for _, l := range g.inherited {
		errs = append(errs, l.Close())
	}
	for _, s := range slices.Backward(g.stops) {
		if err := s.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

// endStreams ends what would never end by itself, each in the way that its era resumes: modern subscriptions have a
// result, streams of legacy sessions end and are opened again.
func (g *Gateway) endStreams() {
	if g.sessions != nil {
		g.sessions.EndStreams()
	}
	if g.subscriptions != nil {
		g.subscriptions.EndStreams()
	}
	g.journal.Close()
}

// StopNow is [Gateway.Stop] without the drain time: calls in flight are given up.
func (g *Gateway) StopNow(ctx context.Context) error {
	g.hurry = true
	return g.Stop(ctx)
}
