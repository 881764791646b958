package job

import (
	"context"
	"errors"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// The topics of the bus.
const (
	cancelled   = "jobs/cancelled" // each message is the id of a job
	endedPrefix = "jobs/ended/"
)

// ended is the topic that is told of the end of a job.
func ended(id string) string { return endedPrefix + id }

// cancel ends a job. One that runs is stopped.
func (j *Jobs) cancel(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	what, err := infer.ReadCancellation(c.Message)
	if err != nil {
		return nil, err
	}
	stands, err := j.stop(ctx, what.Job, ownerOf(&c.Principal))
	if err != nil {
		return nil, errorOf(ctx, err)
	}
	out := []byte(`{"cancelled":false,"state":"`)
	if stands == state.JobCancelled {
		out = []byte(`{"cancelled":true,"state":"`)
	}
	return respond(c, append(append(out, StateName(stands)...), `"}`...))
}

// stop ends the owner's job, and has whoever runs it or waits for it be told.
func (j *Jobs) stop(ctx context.Context, id, owner string) (state.JobState, error) {
	bounded, done := context.WithTimeout(ctx, writeTime)
	defer done()
	stands, err := j.Store.Cancel(bounded, id, owner)
	if err == nil && stands == state.JobCancelled {
		err = errors.Join(j.Bus.Publish(ctx, cancelled, []byte(id)), j.Bus.Publish(ctx, ended(id), nil))
	}
	return stands, err
}

// errCancelled is why an attempt is stopped whose job was cancelled, or is another worker's.
var errCancelled = rpc.Errorf(rpc.Cancelled, "the job was cancelled")

// listen stops what runs here and was cancelled, wherever that was.
func (j *Jobs) listen(l state.Listener) {
	for {
		e, err := l.Next(context.WithoutCancel(j.life)) // which ends when it is closed
		if err != nil {
			return
		}
		for _, a := range j.attempts() {
			switch {
			case e.Gap:
				a.ask()
			case a.claim.Job.ID == string(e.Data):
				a.stop(errCancelled)
			}
		}
	}
}

// attempts are those that run here.
func (j *Jobs) attempts() []*attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]*attempt, 0, len(j.running))
	for a := range j.running {
		out = append(out, a)
	}
	return out
}
