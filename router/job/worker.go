package job

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/headgate/headgate/state"
)

// attempt is a job in the hands of a worker.
type attempt struct {
	claim  state.Claim
	stop   context.CancelCauseFunc
	unsure chan struct{} // somebody has to ask whether the job is still the worker's
}

// ask has it be asked whether the job is still the worker's.
func (a *attempt) ask() {
	select {
	case a.unsure <- struct{}{}:
	default:
	}
}

// work runs one job after another until claiming ends.
func (j *Jobs) work(claiming context.Context) {
	failing := false
	for {
		visibility := j.config.Load().Visibility
		c, err := j.Store.Claim(claiming, []string{class}, visibility)
		switch {
		case err == nil && claiming.Err() != nil:
			j.giveBack(&c)
			return
		case err == nil:
			failing = false
			j.attempt(c, visibility)
		case claiming.Err() != nil || errors.Is(err, state.ErrClosed):
			return
		default:
			if !failing {
				j.Log.Error("jobs cannot be begun; trying again", slog.Any("error", err))
			}
			failing = true
			pause(claiming, soon)
		}
	}
}

// pause waits, and returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// giveBack leaves a job that was not begun to others.
func (j *Jobs) giveBack(c *state.Claim) {
	ctx, cancel := j.writing()
	defer cancel()
	if _, err := j.Store.Fail(ctx, c.Job.ID, c.Fence, state.Failure{Spare: true}); err != nil && !errors.Is(err, state.ErrFenced) {
		j.Log.Warn("a job was not given back; it is when its time is over", slog.String("job", c.Job.ID), slog.Any("error", err))
	}
}

// writing is the context of what has to be written even where all else has ended.
func (j *Jobs) writing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(j.life), writeTime)
}

// attempt runs a job once, and has the engine know what came of it.
func (j *Jobs) attempt(c state.Claim, visibility time.Duration) {
	ctx, stop := context.WithCancelCause(j.life)
	defer stop(nil)
	a := &attempt{claim: c, stop: stop, unsure: make(chan struct{}, 1)}
	a.ask() // it may have been cancelled before anybody could find it here
	j.mu.Lock()
	j.running[a] = struct{}{}
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		delete(j.running, a)
		j.mu.Unlock()
	}()
	over, kept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(kept)
		j.keep(a, visibility, over)
	}()
	j.settle(ctx, a, j.run(ctx, a))
	close(over)
	<-kept
}

// keep has the job stay the worker's, and stops it if it is no longer.
func (j *Jobs) keep(a *attempt, visibility time.Duration, over <-chan struct{}) {
	beat := time.NewTicker(max(visibility/3, time.Millisecond))
	defer beat.Stop()
	for {
		select {
		case <-over:
			return
		case <-beat.C:
		case <-a.unsure:
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(j.life), visibility)
		err := j.Store.Heartbeat(ctx, a.claim.Job.ID, a.claim.Fence, visibility)
		cancel()
		if errors.Is(err, state.ErrFenced) {
			a.stop(errCancelled)
			return
		}
	}
}
