package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/state"
)

// jobsShown are jobs as operators see them.
type jobsShown struct{ jobs *job.Jobs }

var _ admin.Jobs = jobsShown{}

// shownJobs is what operators see of jobs; nil where there are none.
func (g *Gateway) shownJobs() admin.Jobs {
	if g.jobs == nil {
		return nil
	}
	return jobsShown{g.jobs}
}

// Jobs implements [admin.Jobs].
func (j jobsShown) Jobs(ctx context.Context, q admin.JobQuery) ([]admin.Job, error) {
	filter := state.JobFilter{After: q.After, Limit: q.Limit}
	filter.State, _ = job.StateNamed(q.State) // none for all
	if q.Org != "" {
		filter.Tenant = job.OrgTenant(q.Org)
	}
	views, err := j.jobs.List(ctx, filter)
	out := make([]admin.Job, 0, len(views))
	for i := range views {
		out = append(out, shownJob(&views[i]))
	}
	return out, err
}

// Job implements [admin.Jobs].
func (j jobsShown) Job(ctx context.Context, id string) (admin.Job, error) {
	v, err := j.jobs.Show(ctx, id)
	return shownJob(&v), jobError(err)
}

// CancelJob implements [admin.Jobs].
func (j jobsShown) CancelJob(ctx context.Context, id string) (string, error) {
	stands, err := j.jobs.CancelAny(ctx, id)
	return job.StateName(stands), jobError(err)
}

// RedriveJob implements [admin.Jobs].
func (j jobsShown) RedriveJob(ctx context.Context, id string) error {
	return jobError(j.jobs.Redrive(ctx, id))
}

func jobError(err error) error {
	switch {
	case errors.Is(err, job.ErrUnknown):
		return admin.ErrNoJob
	case errors.Is(err, job.ErrNotDead):
		return admin.ErrJobNotDead
	}
	return err
}

func shownJob(v *job.View) admin.Job {
	out := admin.Job{
		ID: v.ID, State: job.StateName(v.State), Model: live.Clip(v.Model), Principal: live.PrincipalOf(v.Principal),
		Attempt: v.Attempt, Attempts: v.Attempts, Lost: v.Lost,
		Created: v.Created.UTC(), Started: timeIn(v.Started), Finished: timeIn(v.Finished), NotBefore: timeIn(v.NotBefore),
	}
	if v.Err != nil {
		out.Error = &admin.JobError{Code: v.Err.Code, Message: live.Clip(v.Err.Message), Data: v.Err.Data}
	}
	if v.Usage != nil {
		out.Usage = &live.Usage{Input: v.Usage.Input, Output: v.Usage.Output, Cached: v.Usage.Cached, Estimated: v.Usage.Estimated}
	}
	return out
}

// timeIn is a time as operators read it; nil for what was not yet.
func timeIn(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
