package job

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// View is a job as operators see it: not what is wanted in it, and not what came of it.
type View struct {
	ID        string
	State     state.JobState
	Model     string // as the client named it
	Tenant    string // who takes turns with others
	Principal rpc.Principal

	Attempt, Attempts int
	Lost              bool // the last attempt ended because its process did

	Created, Started, Finished, NotBefore time.Time

	Err   *rpc.WireError // of a job that has ended, only from Show
	Usage *rpc.Usage     // likewise
}

// ErrUnknown is the error for a job that is not there.
var ErrUnknown = errors.New("there is no such job, or it is no longer kept")

// ErrNotDead is the error for sending a job again that is not dead.
var ErrNotDead = errors.New("only a dead job can be sent again")

// List returns a page of jobs in the order of their submission.
func (j *Jobs) List(ctx context.Context, filter state.JobFilter) ([]View, error) {
	jobs, err := j.Store.List(ctx, filter)
	out := make([]View, 0, len(jobs))
	for i := range jobs {
		out = append(out, viewOf(&jobs[i]))
	}
	return out, err
}

func viewOf(b *state.Job) View {
	return View{
		ID: b.ID, State: b.State, Model: b.Label, Tenant: b.Tenant, Principal: principalOf(b.Owner),
		Attempt: b.Attempt, Attempts: b.Attempts, Lost: b.Lost,
		Created: b.Created, Started: b.Started, Finished: b.Finished, NotBefore: b.NotBefore,
	}
}

// Show returns anybody's job.
func (j *Jobs) Show(ctx context.Context, id string) (View, error) {
	b, err := j.Store.Find(ctx, id)
	if err != nil {
		return View{}, operatorsError(err)
	}
	out := viewOf(&b)
	o, err := readOutcome(b.Result)
	if err != nil {
		return out, err
	}
	if out.Err, out.Usage = o.Err, o.Usage; out.Err == nil && b.Lost && b.State.Final() {
		out.Err = lostError(&b)
	}
	return out, nil
}

// CancelAny ends anybody's job, and returns the state that it is in.
func (j *Jobs) CancelAny(ctx context.Context, id string) (state.JobState, error) {
	b, err := j.Store.Find(ctx, id)
	if err != nil {
		return 0, operatorsError(err)
	}
	stands, err := j.stop(ctx, id, b.Owner)
	return stands, operatorsError(err)
}

// Redrive queues a dead job again, with all its attempts and the time it had.
func (j *Jobs) Redrive(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return operatorsError(j.Store.Redrive(ctx, id))
}

func operatorsError(err error) error {
	switch {
	case errors.Is(err, state.ErrNoJob):
		return ErrUnknown
	case errors.Is(err, state.ErrJobState):
		return ErrNotDead
	}
	return err
}
