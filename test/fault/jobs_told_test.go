package fault

import (
	"context"
	"errors"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headgate/headgate/state"
)

// told is an engine whose answers are written down.
type told struct {
	*chaos
	state.Jobs
}

// note writes an operation down, and what it returned.
func (s *told) note(in jobOp, began int64, got jobGot, err error) {
	switch {
	case errors.Is(err, state.ErrFenced):
		got = jobGot{err: "fenced"}
	case errors.Is(err, state.ErrJobState):
		got = jobGot{err: "state"}
	case err != nil:
		got.err = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in.at = time.Since(s.began)
	s.history = append(s.history, porcupine.Operation{Input: in, Output: got, Call: began, Return: s.ticks.Add(1)})
}

func (s *told) Enqueue(ctx context.Context, spec state.JobSpec) (string, bool, error) {
	began := s.ticks.Add(1)
	id, existing, err := s.Jobs.Enqueue(ctx, spec)
	s.note(jobOp{do: "enqueue", id: id, attempts: spec.Attempts}, began, jobGot{}, err)
	return id, existing, err
}

func (s *told) Claim(ctx context.Context, classes []string, visibility time.Duration) (state.Claim, error) {
	began := s.ticks.Add(1)
	claim, err := s.Jobs.Claim(ctx, classes, visibility)
	if err == nil {
		s.note(jobOp{do: "claim", id: claim.Job.ID}, began, jobGot{fence: claim.Fence, attempt: claim.Job.Attempt}, nil)
	}
	return claim, err
}

func (s *told) Heartbeat(ctx context.Context, id string, fence uint64, visibility time.Duration) error {
	began := s.ticks.Add(1)
	err := s.Jobs.Heartbeat(ctx, id, fence, visibility)
	s.note(jobOp{do: "heartbeat", id: id, fence: fence}, began, jobGot{}, err)
	return err
}

func (s *told) Complete(ctx context.Context, id string, fence uint64, result []byte) error {
	began := s.ticks.Add(1)
	err := s.Jobs.Complete(ctx, id, fence, result)
	s.note(jobOp{do: "complete", id: id, fence: fence, text: string(result)}, began, jobGot{}, err)
	return err
}

func (s *told) Fail(ctx context.Context, id string, fence uint64, failure state.Failure) (state.JobState, error) {
	began := s.ticks.Add(1)
	became, err := s.Jobs.Fail(ctx, id, fence, failure)
	s.note(jobOp{do: "fail", id: id, fence: fence, text: string(failure.Reason), failure: failure}, began, jobGot{state: became}, err)
	return became, err
}

func (s *told) Get(ctx context.Context, id, owner string) (state.Job, error) {
	began := s.ticks.Add(1)
	got, err := s.Jobs.Get(ctx, id, owner)
	s.note(jobOp{do: "get", id: id}, began, jobGot{state: got.State, attempt: got.Attempt, text: string(got.Result)}, err)
	return got, err
}

func (s *told) Cancel(ctx context.Context, id, owner string) (state.JobState, error) {
	began := s.ticks.Add(1)
	stands, err := s.Jobs.Cancel(ctx, id, owner)
	s.note(jobOp{do: "cancel", id: id}, began, jobGot{state: stands}, err)
	return stands, err
}

func (s *told) Redrive(ctx context.Context, id string) error {
	began := s.ticks.Add(1)
	err := s.Jobs.Redrive(ctx, id)
	s.note(jobOp{do: "redrive", id: id}, began, jobGot{}, err)
	return err
}

// mortalWorker is an engine as a process knows it that dies: before an operation, or after it without hearing of it. A dead process does
// nothing more.
type mortalWorker struct {
	told
	left  int  // operations until it dies; negative for never
	after bool // the last one is done
	mute  bool // its heartbeats reach nobody
	gone  bool
	dead  chan struct{}
}

// die ends the process.
func (m *mortalWorker) die(moment string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return
	}
	m.gone = true
	close(m.dead)
	if moment != "" {
		m.deaths[moment]++
	}
}

// lives does an operation, and reports whether the process is there to hear of it.
func (m *mortalWorker) lives(do string, op func()) bool {
	m.mu.Lock()
	gone := m.gone
	if m.left > 0 {
		m.left--
	}
	last := m.left == 0
	m.mu.Unlock()
	switch {
	case gone:
		return false
	case last && !m.after:
		m.die("before " + do)
		return false
	}
	op()
	if last {
		m.die("after " + do)
	}
	return !last
}

func (m *mortalWorker) Claim(ctx context.Context, classes []string, visibility time.Duration) (claim state.Claim, err error) {
	if !m.lives("claim", func() { claim, err = m.told.Claim(ctx, classes, visibility) }) {
		return state.Claim{}, state.ErrClosed
	}
	return claim, err
}

func (m *mortalWorker) Heartbeat(ctx context.Context, id string, fence uint64, visibility time.Duration) (err error) {
	if m.mute {
		return state.ErrUnavailable
	}
	if !m.lives("heartbeat", func() { err = m.told.Heartbeat(ctx, id, fence, visibility) }) {
		return state.ErrClosed
	}
	return err
}

func (m *mortalWorker) Complete(ctx context.Context, id string, fence uint64, result []byte) (err error) {
	if !m.lives("complete", func() { err = m.told.Complete(ctx, id, fence, result) }) {
		return state.ErrClosed
	}
	return err
}

func (m *mortalWorker) Fail(ctx context.Context, id string, fence uint64, failure state.Failure) (became state.JobState, err error) {
	if !m.lives("fail", func() { became, err = m.told.Fail(ctx, id, fence, failure) }) {
		return 0, state.ErrClosed
	}
	return became, err
}
