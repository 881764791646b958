package statetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headgate/headgate/state"
)

// JobsHistory has workers claim, end and cancel jobs at once, and checks for each job that what
// they were told has an order in which it is true: it has one worker at a time, and one end.
func JobsHistory(t *testing.T, open Open) {
	t.Helper()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			open(t, func(t *testing.T, s *Subject) {
				t.Helper()
				history = jobsHistory(t, s, seed)
			})
			linear(t, jobOrder, history)
		})
	}
}

const historyJobs = 10

type jobInput struct {
	op    string
	id    string
	fence uint64
}

type jobOutput struct {
	id    string // of a claim
	fence uint64
	state state.JobState
	err   string
}

func jobsHistory(t *testing.T, s *Subject, seed uint64) []porcupine.Operation {
	t.Helper()
	var r recorder
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range historyJobs {
			next := spec(fmt.Sprint(i))
			next.Tenant, next.Attempts = fmt.Sprint(i%3), 2
			r.do(0, jobInput{op: "enqueue", id: next.ID}, func() any {
				_, _, err := s.Jobs.Enqueue(t.Context(), next)
				return jobOutput{err: word(err)}
			})
		}
	})
	for client := range 3 {
		wg.Go(func() { jobWorker(t, s, &r, 1+client, rand.New(rand.NewPCG(seed, uint64(client)))) })
	}
	wg.Go(func() {
		random := rand.New(rand.NewPCG(seed, 99))
		for range 2 * historyJobs {
			in := jobInput{op: []string{"cancel", "get"}[random.IntN(2)], id: fmt.Sprint(random.IntN(historyJobs))}
			r.do(9, in, func() any { return jobAsk(t, s, in) })
		}
	})
	wg.Wait()
	return r.history
}

func jobWorker(t *testing.T, s *Subject, r *recorder, client int, random *rand.Rand) {
	t.Helper()
	for {
		var c state.Claim
		began := r.ticks.Add(1)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c, err := s.Jobs.Claim(ctx, []string{"default"}, time.Hour)
		cancel()
		if err != nil {
			return // there is nothing more
		}
		r.mu.Lock()
		r.history = append(r.history, porcupine.Operation{
			ClientId: client, Input: jobInput{op: "claim", id: c.Job.ID}, Call: began,
			Output: jobOutput{id: c.Job.ID, fence: c.Fence}, Return: r.ticks.Add(1),
		})
		r.mu.Unlock()
		in := jobInput{op: []string{"complete", "complete", "retry", "heartbeat"}[random.IntN(4)], id: c.Job.ID, fence: c.Fence}
		r.do(client, in, func() any { return jobEnd(t, s, in) })
		in.op = "complete" // once more
		r.do(client, in, func() any { return jobEnd(t, s, in) })
	}
}

func jobEnd(t *testing.T, s *Subject, in jobInput) jobOutput {
	t.Helper()
	switch in.op {
	case "complete":
		return jobOutput{err: word(s.Jobs.Complete(t.Context(), in.id, in.fence, []byte("done")))}
	case "retry":
		became, err := s.Jobs.Fail(t.Context(), in.id, in.fence, state.Failure{Retry: true})
		return jobOutput{state: became, err: word(err)}
	default:
		return jobOutput{err: word(s.Jobs.Heartbeat(t.Context(), in.id, in.fence, time.Hour))}
	}
}

func jobAsk(t *testing.T, s *Subject, in jobInput) jobOutput {
	t.Helper()
	if in.op == "cancel" {
		stands, err := s.Jobs.Cancel(t.Context(), in.id, "ann")
		return jobOutput{state: stands, err: word(err)}
	}
	got, err := s.Jobs.Get(t.Context(), in.id, "ann")
	return jobOutput{state: got.State, err: word(err)}
}

// word is what an error is about.
func word(err error) string {
	for text, target := range map[string]error{"fenced": state.ErrFenced, "none": state.ErrNoJob} {
		if errors.Is(err, target) {
			return text
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// jobStand is one job after some operations.
type jobStand struct {
	state   state.JobState
	attempt int
	fence   uint64
}

var jobOrder = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var out [][]porcupine.Operation
		for i := range historyJobs {
			id := fmt.Sprint(i)
			out = append(out, slices.DeleteFunc(slices.Clone(history), func(op porcupine.Operation) bool {
				in, ok := op.Input.(jobInput)
				return ok && in.id != id
			}))
		}
		return out
	},
	Init: func() any { return jobStand{} },
	Step: func(before, input, output any) (bool, any) {
		b, ok := before.(jobStand)
		in, okIn := input.(jobInput)
		out, okOut := output.(jobOutput)
		if !ok || !okIn || !okOut {
			return false, before
		}
		if in.op == "claim" {
			return b.state == state.JobQueued && out.fence > b.fence, jobStand{state.JobRunning, b.attempt + 1, out.fence}
		}
		next, want := b.step(in)
		return out == want, next
	},
}

// step is what an operation does to a job, and answers.
func (b jobStand) step(in jobInput) (jobStand, jobOutput) {
	next := b
	switch in.op {
	case "enqueue":
		next.state = state.JobQueued
		return next, jobOutput{}
	case "get", "cancel":
		if b.state == 0 {
			return b, jobOutput{err: "none"}
		}
		if in.op == "cancel" && !b.state.Final() {
			next.state = state.JobCancelled
		}
		return next, jobOutput{state: next.state}
	}
	if b.state != state.JobRunning || in.fence != b.fence {
		return b, jobOutput{err: "fenced"}
	}
	switch in.op {
	case "complete":
		next.state = state.JobSucceeded
		return next, jobOutput{}
	case "retry":
		if next.state = state.JobQueued; b.attempt == 2 {
			next.state = state.JobDead
		}
		return next, jobOutput{state: next.state}
	default:
		return b, jobOutput{}
	}
}
