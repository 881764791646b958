package job

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	// A job that could not be begun is left alone for a tenth of the time that it has waited, within these bounds: where nothing
	// can be, that is true of many.
	firstPause = 5 * time.Second
	maxPause   = 30 * time.Second
	// maxRetryAfter bounds what others say of when to try again.
	maxRetryAfter = time.Hour
)

// refusals are failures that say nothing of the job: there was no room, no money or no server for it at that moment.
var refusals = []rpc.Code{
	rpc.RateLimited, rpc.QuotaExhausted, rpc.TooManyInFlight, rpc.Busy, rpc.Overloaded, rpc.AuthDown, rpc.StateUnavailable, rpc.UpstreamDown,
}

// passing are failures that another attempt may not meet.
var passing = append([]rpc.Code{rpc.UpstreamFailed, rpc.UpstreamTimeout}, refusals...)

// verdict says what follows from an attempt that failed.
func (j *Jobs) verdict(ctx context.Context, a *attempt, end *ending) state.Failure {
	final, b := state.Failure{Reason: end.text}, &a.claim.Job
	out := final
	now, err := j.Clock.Now(ctx)
	if err != nil {
		now = b.Started // no more is known
	}
	switch e := end.failure; {
	case e == nil:
		out.Retry, out.After = passes(end.Err.Code), backoff(b.Attempt, 0)
	case e.Code == rpc.Draining:
		if !end.asked || b.Attempts > 1 {
			return state.Failure{Spare: true}
		}
	case (e.NotRun || !end.asked) && slices.Contains(refusals, e.Code):
		out.Spare = true
		out.After = spread(max(firstPause, min(now.Sub(b.Queued)/10, maxPause), min(e.RetryAfter, maxRetryAfter)))
	case e != errDeadline && !errors.Is(e, errLarge) && slices.Contains(passing, e.Code):
		out.Retry, out.After = true, backoff(b.Attempt, e.RetryAfter)
	}
	if !out.Spare && !out.Retry {
		return final
	}
	if !end.deadline.IsZero() && !now.Add(out.After).Before(end.deadline) {
		return final // it would be too late
	}
	return out
}

// passes reports whether another attempt may not meet an error that a server has sent.
func passes(code int64) bool {
	return slices.ContainsFunc(passing, func(c rpc.Code) bool { return infer.ErrorCode(c) == code })
}

// backoff is how long a job waits after an attempt, and not less than what its server asks for.
func backoff(attempt int, asked time.Duration) time.Duration {
	d := firstBackoff
	for range attempt - 1 {
		d = min(4*d, maxBackoff)
	}
	return max(spread(d/2), min(asked, maxRetryAfter))
}

// spread is a random time from d to twice as long, so that what failed at once is not tried at once.
func spread(d time.Duration) time.Duration { return d + rand.N(d) }

// settle has the engine know how an attempt ended, if the job is still this worker's.
func (j *Jobs) settle(ctx context.Context, a *attempt, end ending) {
	id, fence := a.claim.Job.ID, a.claim.Fence
	stands := state.JobSucceeded
	put := func(ctx context.Context) error { return j.Store.Complete(ctx, id, fence, end.text) }
	if end.Err != nil {
		failure := j.verdict(ctx, a, &end)
		put = func(ctx context.Context) (err error) {
			stands, err = j.Store.Fail(ctx, id, fence, failure)
			return err
		}
	}
	if !j.write(ctx, a, put) {
		return
	}
	if stands == state.JobFailed || stands == state.JobDead {
		j.Log.Warn("a job failed", slog.String("job", id), slog.String("state", StateName(stands)), slog.String("model", a.claim.Job.Label),
			slog.Int("attempt", a.claim.Job.Attempt), slog.String("error", end.Err.Message), slog.Any("cause", causeOf(end.failure)))
	}
	if stands.Final() {
		j.ended[stands].Add(1)
		done, cancel := j.writing()
		defer cancel()
		if err := j.Bus.Publish(done, ended(id), nil); err != nil {
			j.Log.Warn("nobody is told of the end of a job", slog.String("job", id), slog.Any("error", err))
		}
	}
}

// causeOf is what clients do not see of a failure.
func causeOf(e *rpc.Error) error {
	if e == nil {
		return nil
	}
	return e.Cause
}

// write tries to write the end of an attempt until it is written, and reports whether it is. A job that is no longer the
// worker's has another end. What cannot be written before the process ends is done again by the next one.
func (j *Jobs) write(ctx context.Context, a *attempt, put func(context.Context) error) bool {
	for failing := false; ; failing = true {
		if errors.Is(context.Cause(ctx), errCancelled) {
			return false // what was used is paid for, and nobody wants the rest
		}
		writing, cancel := j.writing()
		err := put(writing)
		cancel()
		switch {
		case err == nil:
			return true
		case errors.Is(err, state.ErrFenced):
			return false
		case errors.Is(err, state.ErrClosed) || j.life.Err() != nil:
			j.Log.Error("the end of a job was not written", slog.String("job", a.claim.Job.ID), slog.Any("error", err))
			return false
		case !failing:
			j.Log.Error("the end of a job cannot be written; trying again", slog.String("job", a.claim.Job.ID), slog.Any("error", err))
		}
		pause(j.life, soon)
	}
}
