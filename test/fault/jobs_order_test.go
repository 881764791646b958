package fault

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headgate/headgate/state"
)

// jobOp is an operation with a job, by whoever does it, at a time.
type jobOp struct {
	do       string
	id       string
	at       time.Duration // since the beginning; of a claim when it is there
	fence    uint64
	attempts int
	text     string // the result, or why there is none
	failure  state.Failure
}

// jobGot is what an operation returned.
type jobGot struct {
	state   state.JobState
	attempt int
	fence   uint64
	text    string
	err     string
}

// jobStands is a job after some operations.
type jobStands struct {
	state             state.JobState
	attempt, attempts int
	fence             uint64
	late, notBefore   time.Duration
	text              string
}

// chaosVisibility ends at no time at which a client asks: of what happens in one instant nobody knows what comes first.
const chaosVisibility = 30*time.Second + 1_234_567*time.Nanosecond

// jobOrder says in the plainest way what becomes of a job. Nothing but the operations and time changes it.
var jobOrder = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		of := map[string][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(jobOp).id
			of[id] = append(of[id], op)
		}
		out := make([][]porcupine.Operation, 0, len(of))
		for _, part := range of {
			out = append(out, part)
		}
		return out
	},
	Init: func() any { return jobStands{} },
	Step: func(before, input, output any) (bool, any) {
		b, in, got := before.(jobStands), input.(jobOp), output.(jobGot)
		b.lose(in.at)
		if in.do == "claim" { // the fence is the engine's to choose
			fits := b.state == state.JobQueued && in.at >= b.notBefore && got.fence > b.fence && got.attempt == b.attempt+1
			b.state, b.attempt, b.fence, b.late = state.JobRunning, b.attempt+1, got.fence, in.at+chaosVisibility
			return fits, b
		}
		want := b.step(in)
		return got == want, b
	},
}

// lose takes the job from a worker that was not heard of.
func (b *jobStands) lose(now time.Duration) {
	if b.state != state.JobRunning || now < b.late {
		return
	}
	switch {
	case b.attempts == 1:
		b.state = state.JobFailed
	case b.attempt == b.attempts:
		b.state = state.JobDead
	default:
		b.state, b.notBefore = state.JobQueued, 0
	}
}

// step is what an operation does to a job, and returns.
func (b *jobStands) step(in jobOp) jobGot {
	switch in.do {
	case "enqueue":
		if b.state == 0 {
			*b = jobStands{state: state.JobQueued, attempts: in.attempts}
		}
		return jobGot{}
	case "get":
		return jobGot{state: b.state, attempt: b.attempt, text: b.text}
	case "cancel":
		if !b.state.Final() {
			b.state, b.text = state.JobCancelled, ""
		}
		return jobGot{state: b.state}
	case "redrive":
		if b.state != state.JobDead {
			return jobGot{err: "state"}
		}
		b.state, b.attempt, b.text, b.notBefore = state.JobQueued, 0, "", 0
		return jobGot{}
	}
	if b.state != state.JobRunning || b.fence != in.fence {
		return jobGot{err: "fenced"}
	}
	switch in.do {
	case "complete":
		b.state, b.text = state.JobSucceeded, in.text
	case "fail":
		b.fail(in)
		return jobGot{state: b.state}
	default:
		b.late = in.at + chaosVisibility
	}
	return jobGot{}
}

func (b *jobStands) fail(in jobOp) {
	switch {
	case in.failure.Spare:
		b.state, b.notBefore = state.JobQueued, in.at+in.failure.After
		b.attempt--
	case !in.failure.Retry:
		b.state, b.text = state.JobFailed, in.text
	case b.attempt >= b.attempts:
		b.state, b.text = state.JobDead, in.text
	default:
		b.state, b.notBefore = state.JobQueued, in.at+in.failure.After
	}
}

// The model finds what it is there to find.
func TestTheOrderOfJobsRefuses(t *testing.T) {
	t.Parallel()
	at := func(do string, seconds int, fence uint64, text string) jobOp {
		return jobOp{do: do, id: "a", at: time.Duration(seconds) * time.Second, fence: fence, attempts: 2, text: text}
	}
	type step struct {
		in  jobOp
		got jobGot
	}
	begun := []step{{at("enqueue", 0, 0, ""), jobGot{}}, {at("claim", 1, 0, ""), jobGot{fence: 1, attempt: 1}}}
	for name, tt := range map[string]struct {
		steps []step
		holds bool
	}{
		"a job that is done":            {[]step{{at("complete", 2, 1, "x"), jobGot{}}, {at("get", 3, 0, ""), jobGot{state: state.JobSucceeded, attempt: 1, text: "x"}}}, true},
		"one with two workers":          {[]step{{at("claim", 2, 0, ""), jobGot{fence: 2, attempt: 2}}}, false},
		"one whose worker was lost":     {[]step{{at("claim", 40, 0, ""), jobGot{fence: 2, attempt: 2}}}, true},
		"one whose worker is kept":      {[]step{{at("heartbeat", 20, 1, ""), jobGot{}}, {at("claim", 40, 0, ""), jobGot{fence: 2, attempt: 2}}}, false},
		"a fence that comes twice":      {[]step{{at("claim", 40, 0, ""), jobGot{fence: 1, attempt: 2}}}, false},
		"a worker that is too late":     {[]step{{at("claim", 40, 0, ""), jobGot{fence: 2, attempt: 2}}, {at("complete", 41, 1, "x"), jobGot{}}}, false},
		"cancelled, and completed":      {[]step{{at("cancel", 2, 0, ""), jobGot{state: state.JobCancelled}}, {at("complete", 3, 1, "x"), jobGot{}}}, false},
		"another result than was given": {[]step{{at("complete", 2, 1, "x"), jobGot{}}, {at("get", 3, 0, ""), jobGot{state: state.JobSucceeded, attempt: 1, text: "y"}}}, false},
		"one attempt too many":          {[]step{{at("claim", 40, 0, ""), jobGot{fence: 2, attempt: 2}}, {at("claim", 80, 0, ""), jobGot{fence: 3, attempt: 3}}}, false},
		"dead, after all of them":       {[]step{{at("claim", 40, 0, ""), jobGot{fence: 2, attempt: 2}}, {at("get", 80, 0, ""), jobGot{state: state.JobDead, attempt: 2}}}, true},
		"sent again while it runs":      {[]step{{at("redrive", 2, 0, ""), jobGot{}}}, false},
	} {
		var history []porcupine.Operation
		for i, s := range append(slices.Clone(begun), tt.steps...) {
			history = append(history, porcupine.Operation{Input: s.in, Output: s.got, Call: int64(2 * i), Return: int64(2*i + 1)})
		}
		if holds := porcupine.CheckOperations(jobOrder, history); holds != tt.holds {
			t.Errorf("%s: %v", name, holds)
		}
	}
}
