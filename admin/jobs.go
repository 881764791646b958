package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/admin/live"
)

// Job is a job as operators see it: not what is wanted in it, and not what came of it.
type Job struct {
	ID        string         `json:"id"`
	State     string         `json:"state"`           // queued, running, succeeded, failed, cancelled or dead
	Model     string         `json:"model,omitempty"` // as the client named it
	Principal live.Principal `json:"principal"`       // who submitted it
	Attempt   int            `json:"attempt"`         // how often it was begun
	Attempts  int            `json:"attempts"`        // how often it may be
	Lost      bool           `json:"lost,omitempty"`  // the last attempt ended because its process did
	Created   time.Time      `json:"created"`
	Started   *time.Time     `json:"started,omitempty"`   // the last attempt
	Finished  *time.Time     `json:"finished,omitempty"`  //
	NotBefore *time.Time     `json:"notBefore,omitempty"` // when it may be begun again
	Error     *JobError      `json:"error,omitempty"`     // of one that has ended; only where one job is asked for
	Usage     *live.Usage    `json:"usage,omitempty"`     // likewise: of the last attempt
}

// JobError is why a job has no result, as its owner is told.
type JobError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// JobPage is a page of jobs, in the order of their submission.
type JobPage struct {
	Items []Job  `json:"items"`
	Next  string `json:"next,omitempty"` // the page after this one begins after this id; empty for the last
}

// JobQuery is which jobs somebody wants to see. What is empty selects all.
type JobQuery struct {
	State string
	Org   string
	After string // an id
	Limit int
}

// JobStates are the states of jobs.
var JobStates = []string{"queued", "running", "succeeded", "failed", "cancelled", "dead"}

// The errors of [Jobs].
var (
	ErrNoJob      = errors.New("there is no such job, or it is no longer kept")
	ErrJobNotDead = errors.New("only a dead job can be sent again")
)

// Jobs is what operators see of jobs, and do to them. Its methods may be called concurrently. Errors are those above, or
// the engine's, which may be able to do it later.
type Jobs interface {
	Jobs(ctx context.Context, q JobQuery) ([]Job, error)
	Job(ctx context.Context, id string) (Job, error)
	// CancelJob ends a job, whether it runs or not, and returns the state that it is in: another final one if it came before.
	CancelJob(ctx context.Context, id string) (string, error)
	// RedriveJob queues a dead job again, with all its attempts.
	RedriveJob(ctx context.Context, id string) error
}

// Jobbing are the handlers by which operators see jobs and act on them: GET /api/v1/jobs, GET /api/v1/jobs/{id}, and POST of
// /api/v1/jobs/{id}/cancel and /api/v1/jobs/{id}/redrive. Where jobs is nil all of them say that there are none.
func Jobbing(jobs Jobs, log *slog.Logger) map[string]http.Handler {
	d := desk{jobs, log}
	return map[string]http.Handler{
		"GET /api/v1/jobs":               d.serve(d.list),
		"GET /api/v1/jobs/{id}":          d.serve(d.show),
		"POST /api/v1/jobs/{id}/cancel":  d.serve(d.cancel),
		"POST /api/v1/jobs/{id}/redrive": d.serve(d.redrive),
	}
}

type desk struct {
	Jobs
	log *slog.Logger
}

// serve answers with what f returns, or with why there is nothing.
func (d desk) serve(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Jobs == nil {
			refuse(w, http.StatusNotFound, errors.New("there are no jobs here: they need a data_dir"))
			return
		}
		out, err := f(r)
		switch {
		case err == nil:
			respond(w, http.StatusOK, out)
		case errors.Is(err, ErrNoJob):
			refuse(w, http.StatusNotFound, ErrNoJob)
		case errors.Is(err, ErrJobNotDead):
			refuse(w, http.StatusConflict, ErrJobNotDead)
		case errors.Is(err, errQuery):
			refuse(w, http.StatusBadRequest, err)
		default:
			d.log.ErrorContext(r.Context(), "jobs cannot be read or written", slog.String("path", live.Clip(r.URL.Path)), slog.Any("error", err))
			refuse(w, http.StatusServiceUnavailable, errors.New("jobs cannot be read or written at the moment"))
		}
	})
}

func (d desk) list(r *http.Request) (any, error) {
	q, err := jobQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	most := q.Limit
	q.Limit++ // to see whether there are more
	items, err := d.Jobs.Jobs(r.Context(), q)
	out := JobPage{Items: append([]Job{}, items[:min(most, len(items))]...)}
	if len(items) > most {
		out.Next = items[most-1].ID
	}
	return out, err
}

func (d desk) show(r *http.Request) (any, error) { return d.Job(r.Context(), r.PathValue("id")) }

// jobStand is what an operator's wish came to.
type jobStand struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

func (d desk) cancel(r *http.Request) (any, error) {
	id := r.PathValue("id")
	stands, err := d.CancelJob(r.Context(), id)
	if err == nil {
		d.log.InfoContext(r.Context(), "cancelled by an operator", slog.String("job", id), slog.String("state", stands), slog.String("remote", r.RemoteAddr))
	}
	return jobStand{id, stands}, err
}

func (d desk) redrive(r *http.Request) (any, error) {
	id := r.PathValue("id")
	err := d.RedriveJob(r.Context(), id)
	if err == nil {
		d.log.InfoContext(r.Context(), "sent again by an operator", slog.String("job", id), slog.String("remote", r.RemoteAddr))
	}
	return jobStand{id, "queued"}, err
}

// errQuery is in the chain of the error for a query that is wrong.
var errQuery = errors.New("the query is wrong")

// maxJobPage bounds a page of jobs. The engine has one more.
const maxJobPage = maxPart - 1

// jobQuery reads the query of a request for jobs.
func jobQuery(query string) (JobQuery, error) {
	out := JobQuery{Limit: usualPart}
	values, err := url.ParseQuery(query)
	if err != nil {
		return out, fmt.Errorf("%w: it cannot be read", errQuery)
	}
	for name, given := range values {
		text := given[0]
		switch {
		case len(given) > 1:
			return out, fmt.Errorf("%w: %s is there more than once", errQuery, live.Clip(name))
		case name == "state" && slices.Contains(JobStates, text):
			out.State = text
		case name == "state":
			return out, fmt.Errorf("%w: state must be one of %s", errQuery, strings.Join(JobStates, ", "))
		case name == "org":
			out.Org = text
		case name == "after":
			out.After = text
		case name == "limit":
			if out.Limit, err = strconv.Atoi(text); err != nil || out.Limit < 1 || out.Limit > maxJobPage {
				return out, fmt.Errorf("%w: limit must be a number from 1 to %d", errQuery, maxJobPage)
			}
		default:
			return out, fmt.Errorf("%w: it may have state, org, after and limit, and nothing else", errQuery)
		}
	}
	return out, nil
}
