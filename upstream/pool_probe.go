package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// HealthConfig says how backends are asked whether they are well.
type HealthConfig struct {
	Interval time.Duration // 0 is never
	Timeout  time.Duration // a second if it is 0
}

// patience is how many probes have to fail in a row.
const patience = 2

// startProbes has the backend asked whether it is well, until stopProbes.
func (b *Backend) startProbes() {
	cfg := b.pool.cfg.Health
	if cfg.Interval <= 0 || b.cfg.Probe == nil {
		return
	}
	ctx, stop := context.WithCancel(b.pool.cfg.Life)
	b.stop = stop
	b.probes.Go(func() {
		ticker := time.NewTicker(cfg.Interval)
		defer ticker.Stop()
		for failures := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := b.probe(ctx); err == nil {
				failures = 0
			} else if failures++; failures >= patience && ctx.Err() == nil && !b.down.Swap(true) {
				b.pool.cfg.Log.Warn("backend is not well", "upstream", b.pool.cfg.Upstream, "backend", b.cfg.ID, "error", err.Error())
			}
		}
	})
}

// probe asks once. A backend that is left alone, and whose time has come, is tried in this way rather than by a client's call.
func (b *Backend) probe(ctx context.Context) error {
	timeout := b.pool.cfg.Health.Timeout
	if timeout <= 0 {
		timeout = time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := b.ask(ctx)
	if err == nil && b.down.Swap(false) {
		b.rise(b.pool.now())
		b.pool.cfg.Log.Info("backend is well again", "upstream", b.pool.cfg.Upstream, "backend", b.cfg.ID)
	}
	return err
}

func (b *Backend) ask(ctx context.Context) (err error) {
	if b.breaker.state() != gobreaker.StateHalfOpen.String() {
		return b.cfg.Probe(ctx)
	}
	t, ok := b.breaker.enter()
	if !ok {
		return b.cfg.Probe(ctx)
	}
	verdict := errNeither
	defer func() { b.breaker.settle(t, verdict) }()
	if err = b.cfg.Probe(ctx); err == nil {
		verdict = nil
	} else if !errors.Is(context.Cause(ctx), context.Canceled) {
		verdict = errFailed
	}
	return err
}

// stopProbes ends the probes and waits for the one that runs.
func (b *Backend) stopProbes() {
	if b.stop != nil {
		b.stop()
		b.probes.Wait()
	}
}
