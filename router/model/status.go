package model

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// Session is how a session stands, for who has it.
type Session struct {
	Usage   *Spent    `json:"usage,omitempty"` // nil where nothing is remembered
	Turns   int       `json:"history_turns"`
	Expires time.Time `json:"expires_at"`
}

// Spent is what a session has used of all models.
type Spent struct {
	Input     int64 `json:"input_tokens"`
	Output    int64 `json:"output_tokens"`
	Cached    int64 `json:"cached_tokens,omitempty"`
	Estimated bool  `json:"estimated,omitempty"`
}

// standing is the result of status.
type standing struct {
	Status  string          `json:"status"`
	Version string          `json:"version"`
	Uptime  int64           `json:"uptime_seconds"`
	Models  []modelStanding `json:"models"`
	Session *Session        `json:"session,omitempty"`
}

type modelStanding struct {
	Name       string          `json:"name"`
	Available  bool            `json:"available"`
	Warming    bool            `json:"warming"`
	QueueDepth int             `json:"queue_depth"`
	InFlight   int             `json:"in_flight"`
	Backends   backendStanding `json:"backends"`
	Position   int             `json:"queue_position,omitempty"` // of the caller's next call that waits
}

type backendStanding struct {
	Healthy int `json:"healthy"`
	Total   int `json:"total"`
}

// How the gateway is doing in all, as far as the caller is concerned.
const (
	allWell  = "ok"
	someWell = "degraded"
	noneWell = "unavailable"
)

// status tells how the gateway, or a job, is doing.
func (r *Router) status(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	q, err := infer.ReadInquiry(c.Message)
	switch {
	case err != nil:
		return nil, err
	case q.Job != "" && r.Jobs != nil:
		return r.Jobs.Handle(ctx, c)
	case q.Job != "":
		return nil, unknownJob()
	}
	out := standing{Version: r.Version, Uptime: int64(time.Since(r.Started).Seconds()), Models: []modelStanding{}}
	if r.Session != nil && c.Client.Session != "" {
		if out.Session, err = r.Session(ctx, c); err != nil {
			return nil, err
		}
	}
	r.visible(c, func(e *Entry, t *rpc.Target) {
		s, position := e.Status(), 0
		if e.Place != nil {
			position = e.Place(&c.Principal)
		}
		out.Models = append(out.Models, modelStanding{
			t.Canonical, s.Available, s.Warming, s.QueueDepth, s.InFlight, backendStanding{s.Healthy, s.Total}, position,
		})
	})
	out.Status = wellness(out.Models)
	return respond(c, out)
}

func wellness(models []modelStanding) string {
	available, well := 0, 0
	for _, m := range models {
		if m.Available {
			available++
		}
		if m.Available && m.Backends.Healthy == m.Backends.Total {
			well++
		}
	}
	switch {
	case well == len(models):
		return allWell
	case available > 0:
		return someWell
	}
	return noneWell
}

// unknownJob is the error for every job that the caller cannot have.
func unknownJob() error { return rpc.Errorf(rpc.JobUnknown, "there is no such job") }
