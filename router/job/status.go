package job

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// stateNames are the states as clients read them.
var stateNames = [...]string{
	state.JobQueued: "queued", state.JobRunning: "running", state.JobSucceeded: "succeeded", state.JobFailed: "failed",
	state.JobCancelled: "cancelled", state.JobDead: "dead",
}

// StateName returns what a state is called.
func StateName(s state.JobState) string { return stateNames[s] }

// StateNamed returns the state of a name; false if there is none.
func StateNamed(name string) (state.JobState, bool) {
	for s := state.JobQueued; s <= state.JobDead; s++ {
		if stateNames[s] == name {
			return s, true
		}
	}
	return 0, false
}

// standing is a job as its owner sees it.
type standing struct {
	ID       string          `json:"job_id"`
	State    string          `json:"state"`
	Created  string          `json:"created_at"`
	Started  string          `json:"started_at,omitempty"`
	Finished string          `json:"finished_at,omitempty"`
	Attempt  int             `json:"attempt"`
	Result   json.RawMessage `json:"result,omitempty"`
	Err      *rpc.WireError  `json:"error,omitempty"`
	Usage    json.RawMessage `json:"usage,omitempty"`
}

// timeText is how clients read times.
const timeText = "2006-01-02T15:04:05.000Z"

func textOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeText)
}

// status tells how a job stands, at once or when it has ended.
func (j *Jobs) status(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	q, err := infer.ReadInquiry(c.Message)
	if err != nil {
		return nil, err
	}
	owner := ownerOf(&c.Principal)
	b, err := j.Store.Get(ctx, q.Job, owner)
	if err == nil && q.Wait > 0 && !b.State.Final() {
		b, err = j.await(ctx, q, owner)
	}
	if err != nil {
		return nil, errorOf(ctx, err)
	}
	s, err := standingOf(&b)
	if err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Message: "the outcome of the job cannot be read", Cause: err}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // the result's bytes are the model's
	if err := e.Encode(s); err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Message: "the outcome of the job cannot be written", Cause: err}
	}
	return respond(c, bytes.TrimSpace(text.Bytes()))
}

// await returns the job when it has ended, or as it stands when the time is over. It asks when it is told to, and not in
// between.
func (j *Jobs) await(ctx context.Context, q infer.Inquiry, owner string) (state.Job, error) {
	l, err := j.Bus.Subscribe(ctx, ended(q.Job))
	if err != nil {
		return state.Job{}, err
	}
	defer l.Close()
	waiting, cancel := context.WithTimeout(ctx, q.Wait)
	defer cancel()
	defer context.AfterFunc(j.leaving, cancel)()
	for {
		b, err := j.Store.Get(ctx, q.Job, owner)
		switch {
		case err != nil || b.State.Final():
			return b, err
		case ctx.Err() != nil:
			return b, context.Cause(ctx) // whoever cancelled the question wants no answer
		case waiting.Err() != nil:
			return b, nil
		}
		if _, err := l.Next(waiting); err != nil {
			cancel() // it is asked once more, for what nobody told
		}
	}
}

// standingOf is a job as it stands.
func standingOf(b *state.Job) (standing, error) {
	s := standing{
		ID: b.ID, State: StateName(b.State), Attempt: b.Attempt,
		Created: textOf(b.Created), Started: textOf(b.Started), Finished: textOf(b.Finished),
	}
	if b.Attempt == 0 {
		s.Started = "" // what could not be begun has not started
	}
	o, err := readOutcome(b.Result)
	if err != nil {
		return s, err
	}
	s.Err = o.Err
	if len(o.result) > 0 {
		s.Result = o.result
	}
	if o.Usage != nil {
		s.Usage = infer.AppendUsage(nil, *o.Usage)
	}
	if b.Lost && b.State.Final() && s.Err == nil {
		s.Err = lostError(b)
	}
	return s, nil
}

// lostError says why a job has ended of which nobody knows what became of it.
func lostError(b *state.Job) *rpc.WireError {
	what := "the process that ran the job ended, and nobody knows what became of it"
	if b.State == state.JobDead {
		what = "each process that ran the job ended before the job did"
	}
	return infer.Failure(rpc.Errorf(rpc.Internal, "%s", what), b.ID, b.Label)
}
