package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headgate/headgate/state"
)

// Claim waits for a job of one of the classes.
func (j *Jobs) Claim(ctx context.Context, classes []string, visibility time.Duration) (state.Claim, error) {
	for {
		j.mu.Lock()
		if b := j.pick(classes); b != nil {
			claim, err := j.claim(ctx, b, visibility)
			if err == nil && claim.Job.Payload == nil {
				continue // it was cancelled at once
			}
			return claim, err
		}
		j.waiting++
		ready := j.ready
		j.mu.Unlock()
		select {
		case <-ready:
		case <-j.closing:
			return state.Claim{}, state.ErrClosed
		case <-ctx.Done():
			return state.Claim{}, context.Cause(ctx)
		}
	}
}

func (j *Jobs) pick(classes []string) *job {
	for _, class := range classes {
		if q := j.queues[class]; q != nil {
			if b := q.take(); b != nil {
				return b
			}
		}
	}
	return nil
}

// claim hands a job out, even if ctx ends meanwhile: the worker can give it back, and nobody else could. The lock is
// held, and is not afterwards.
func (j *Jobs) claim(ctx context.Context, b *job, visibility time.Duration) (state.Claim, error) {
	now := j.clock.nanos()
	b.late = sum(now, int64(max(visibility, 0)))
	next := b.record
	next.state, next.lost, next.started, next.notBefore = state.JobRunning, false, now, 0
	next.attempt++
	next.fence++
	if err := j.commit(context.WithoutCancel(ctx), b, next); err != nil {
		return state.Claim{}, err
	}
	payload, err := j.read(payloadBucket, b.id)
	if err != nil {
		return state.Claim{}, err
	}
	out := state.Claim{Job: next.job(b.id), Fence: uint64(next.fence)}
	out.Job.Payload = payload
	return out, nil
}

// running returns a job that is the worker's, or nil.
func (j *Jobs) running(id string, fence uint64) *job {
	b := j.acquire(id)
	if b == nil || b.record.state != state.JobRunning || uint64(b.record.fence) != fence || j.clock.nanos() >= b.late {
		return nil
	}
	return b
}

// Heartbeat has the job stay the worker's.
func (j *Jobs) Heartbeat(_ context.Context, id string, fence uint64, visibility time.Duration) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.running(id, fence)
	if b == nil {
		return state.ErrFenced
	}
	b.late = sum(j.clock.nanos(), int64(max(visibility, 0)))
	j.withdraw(b)
	j.settle(b)
	return nil
}

// Complete ends the job with its result.
func (j *Jobs) Complete(ctx context.Context, id string, fence uint64, result []byte) error {
	if len(result) > state.MaxJobResult {
		return fmt.Errorf("%w: a result of %d bytes", errSpec, len(result))
	}
	j.mu.Lock()
	b := j.running(id, fence)
	if b == nil {
		j.mu.Unlock()
		return state.ErrFenced
	}
	next := b.record
	return j.end(ctx, b, next, state.JobSucceeded, result)
}

// Fail ends the attempt.
func (j *Jobs) Fail(ctx context.Context, id string, fence uint64, failure state.Failure) (state.JobState, error) {
	if len(failure.Reason) > state.MaxJobResult {
		return 0, fmt.Errorf("%w: a failure of %d bytes", errSpec, len(failure.Reason))
	}
	j.mu.Lock()
	b := j.running(id, fence)
	if b == nil {
		j.mu.Unlock()
		return 0, state.ErrFenced
	}
	next := b.record
	switch {
	case failure.Spare:
		next.attempt--
	case !failure.Retry:
		return state.JobFailed, j.end(ctx, b, next, state.JobFailed, failure.Reason)
	case next.attempt >= next.attempts:
		return state.JobDead, j.end(ctx, b, next, state.JobDead, failure.Reason)
	}
	next.state, next.notBefore = state.JobQueued, 0
	if failure.After > 0 {
		next.notBefore = sum(j.clock.nanos(), int64(failure.After))
	}
	return state.JobQueued, j.commit(ctx, b, next)
}

// end makes a job final. The lock is held, and is not afterwards.
func (j *Jobs) end(ctx context.Context, b *job, next jobRecord, to state.JobState, result []byte) error {
	writes := j.final(b, &next, to, result)
	return j.commit(ctx, b, next, writes...)
}

// final is what is written of a job that comes to its end. A dead one keeps its
// payload: it may be sent again.
func (j *Jobs) final(b *job, next *jobRecord, to state.JobState, result []byte) []write {
	next.state, next.finished, next.notBefore = to, j.clock.nanos(), 0
	next.until = sum(next.finished, next.keep)
	var writes []write
	if to == state.JobDead {
		next.until = max(next.until, sum(next.finished, int64(state.KeepDeadJob)))
		next.size += int64(len(result))
	} else {
		next.size = int64(len(result))
		writes = append(writes, write{place{payloadBucket, b.id}, nil})
	}
	if result != nil {
		writes = append(writes, write{place{resultBucket, b.id}, sealed(b.id, slices.Clone(result))})
	}
	return writes
}

// Cancel ends the owner's job.
func (j *Jobs) Cancel(ctx context.Context, id, owner string) (state.JobState, error) {
	j.mu.Lock()
	if !j.visible(j.jobs[id], owner) { // before it waits for what is the owner's
		j.mu.Unlock()
		return 0, state.ErrNoJob
	}
	b := j.acquire(id)
	if !j.visible(b, owner) {
		j.mu.Unlock()
		return 0, state.ErrNoJob
	}
	if b.record.state.Final() {
		defer j.mu.Unlock()
		return b.record.state, nil
	}
	next := b.record
	return state.JobCancelled, j.end(ctx, b, next, state.JobCancelled, nil)
}

// Redrive queues a dead job again.
func (j *Jobs) Redrive(ctx context.Context, id string) error {
	payload, err := j.read(payloadBucket, id)
	if err != nil {
		return err
	}
	j.mu.Lock()
	b := j.acquire(id)
	if b == nil || j.over(b) {
		j.mu.Unlock()
		return state.ErrNoJob
	}
	if b.record.state != state.JobDead {
		j.mu.Unlock()
		return fmt.Errorf("%w: only a dead job is sent again", state.ErrJobState)
	}
	next := b.record
	next.state, next.attempt, next.lost = state.JobQueued, 0, false
	next.started, next.finished, next.until, next.size = 0, 0, 0, int64(len(payload))
	next.queued = j.clock.nanos()
	return j.commit(ctx, b, next, write{place{resultBucket, b.id}, nil})
}

// run has happen what nobody does, until the part is closed.
func (j *Jobs) run() {
	defer close(j.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-j.closing:
			return
		case <-j.wake:
		case <-timer.C:
		}
		timer.Reset(j.happen())
	}
}

// happen does what is due and returns how long nothing else is.
func (j *Jobs) happen() time.Duration {
	var lost []command
	j.mu.Lock()
	now := j.clock.nanos()
	b, ok := j.events.first()
	for ; ok && b.at <= now; b, ok = j.events.first() {
		j.events.remove(b)
		switch {
		case b.record.state == state.JobRunning:
			lost = append(lost, j.lose(b))
		case b.record.state.Final():
			j.expire(b, now)
		default:
			j.settle(b)
		}
	}
	wait := time.Hour
	if ok {
		wait = time.Duration(b.at - now)
	}
	j.mu.Unlock()
	for _, cmd := range lost {
		j.writes.submit(cmd)
	}
	return wait
}

// lose takes a job from a worker that was not heard of.
func (j *Jobs) lose(b *job) command {
	next := b.record
	next.lost = true
	var writes []write
	switch {
	case next.attempts == 1:
		writes = j.final(b, &next, state.JobFailed, nil)
	case next.attempt >= next.attempts:
		writes = j.final(b, &next, state.JobDead, nil)
	default:
		next.state = state.JobQueued
	}
	cmd, _ := j.command(b, next, writes)
	return cmd
}

// expire forgets a final job, but for its key.
func (j *Jobs) expire(b *job, now int64) {
	j.writes.put(payloadBucket, b.id, nil)
	j.writes.put(resultBucket, b.id, nil)
	j.bytes += b.record.size
	b.record.size = 0
	if b.record.forgotten = true; now < b.record.keyUntil {
		j.writes.put(jobBucket, b.id, b.record.encode(b.id))
		j.settle(b)
		return
	}
	j.writes.put(jobBucket, b.id, nil)
	j.forget(b, b.record)
}

// close has who waits stop waiting.
func (j *Jobs) close() {
	close(j.closing)
	<-j.stopped
}
