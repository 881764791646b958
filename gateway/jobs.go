package gateway

import (
	"context"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
)

// openJobs makes what takes and runs jobs. Without a data directory nothing does: a job has to be on disk before it is
// acknowledged.
func (g *Gateway) openJobs(ctx context.Context, cfg *config.Config) {
	if g.engine == nil {
		return
	}
	g.jobs = job.New(ctx, job.Deps{
		Store: g.engine.Jobs(), Bus: g.engine.Bus(), Clock: g.engine, Run: rpc.HandlerFunc(g.inner), Log: g.logOf("job"),
	}, jobBounds(cfg.Jobs))
}

// jobBounds are the bounds of jobs.
func jobBounds(c config.Jobs) job.Config {
	return job.Config{
		Workers: c.Workers, Attempts: c.MaxAttempts, Visibility: c.Visibility, Keep: c.ResultTTL, MaxAge: c.MaxAge, PerTenant: c.PerTenant,
		MaxParams: int(c.MaxParams), MaxResult: int(c.MaxResult),
	}
}

// startJobs has jobs run, those among them that an earlier process left.
func (g *Gateway) startJobs(ctx context.Context) error {
	if g.jobs == nil {
		return nil
	}
	return g.jobs.Start(ctx)
}

// configureJobs puts other bounds in force.
func (g *Gateway) configureJobs(c config.Jobs) {
	if g.jobs != nil {
		g.jobs.Configure(jobBounds(c))
	}
}

// drainJobs lets what runs end until ctx does, and gives the rest back. It returns at once, and what it returns is closed
// when nothing runs any more.
func (g *Gateway) drainJobs(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if g.jobs != nil {
			g.jobs.Drain(ctx)
		}
	}()
	return done
}

// runningJobs returns how many jobs run.
func (g *Gateway) runningJobs() int {
	if g.jobs == nil {
		return 0
	}
	return g.jobs.Running()
}

// jobHandler answers what is about jobs; nil where there are none.
func (g *Gateway) jobHandler() rpc.Handler {
	if g.jobs == nil {
		return nil
	}
	return g.jobs
}
