package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/admin"
)

// shelf is some jobs.
type shelf struct {
	n     int
	err   error
	asked []admin.JobQuery
}

func (s *shelf) Jobs(_ context.Context, q admin.JobQuery) ([]admin.Job, error) {
	s.asked = append(s.asked, q)
	var out []admin.Job
	for i := range s.n {
		if id := fmt.Sprintf("job_%03d", i); id > q.After && len(out) < q.Limit {
			out = append(out, admin.Job{ID: id, State: "dead"})
		}
	}
	return out, s.err
}

func (s *shelf) Job(_ context.Context, id string) (admin.Job, error) {
	return admin.Job{ID: id, State: "dead", Error: &admin.JobError{Code: -32007, Message: "no"}}, s.err
}
func (s *shelf) CancelJob(context.Context, string) (string, error) { return "succeeded", s.err }
func (s *shelf) RedriveJob(context.Context, string) error          { return s.err }

// desk serves jobs, and nothing else.
func desk(jobs admin.Jobs) func(method, path string) (int, string) {
	mux := http.NewServeMux()
	for pattern, handler := range admin.Jobbing(jobs, slog.New(slog.DiscardHandler)) {
		mux.Handle(pattern, handler)
	}
	return func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
}

func TestJobsComeInPages(t *testing.T) {
	t.Parallel()
	s := &shelf{n: 5}
	ask := desk(s)
	var seen []string
	for path := "/api/v1/jobs?limit=2&state=dead&org=acme"; path != ""; {
		status, text := ask(http.MethodGet, path)
		var page admin.JobPage
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, text, err)
		}
		for _, j := range page.Items {
			seen = append(seen, j.ID)
		}
		if path = ""; page.Next != "" {
			path = "/api/v1/jobs?limit=2&after=" + page.Next
		}
	}
	if diff := cmp.Diff([]string{"job_000", "job_001", "job_002", "job_003", "job_004"}, seen); diff != "" {
		t.Error(diff)
	}
	if len(s.asked) != 3 || s.asked[0].State != "dead" || s.asked[0].Org != "acme" {
		t.Errorf("asked: %+v", s.asked)
	}
}

func TestQueriesForJobsThatAreWrong(t *testing.T) {
	t.Parallel()
	ask := desk(&shelf{})
	for _, query := range []string{"state=done", "state=", "limit=0", "limit=1000", "limit=x", "offset=1", "limit=1&limit=2", "%zz"} {
		if status, text := ask(http.MethodGet, "/api/v1/jobs?"+query); status != http.StatusBadRequest || !strings.Contains(text, "the query is wrong") {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

func TestWhatBecomesOfWishesAboutJobs(t *testing.T) {
	t.Parallel()
	paths := []string{"GET /api/v1/jobs", "GET /api/v1/jobs/a", "POST /api/v1/jobs/a/cancel", "POST /api/v1/jobs/a/redrive"}
	for name, tt := range map[string]struct {
		jobs   admin.Jobs
		status int
		text   string
	}{
		"none kept":    {nil, http.StatusNotFound, "data_dir"},
		"no such job":  {&shelf{err: fmt.Errorf("x: %w", admin.ErrNoJob)}, http.StatusNotFound, "no such job"},
		"not dead":     {&shelf{err: admin.ErrJobNotDead}, http.StatusConflict, "only a dead job"},
		"engine ill":   {&shelf{err: errors.New("disk of /var is full")}, http.StatusServiceUnavailable, "at the moment"},
		"all is well":  {&shelf{}, http.StatusOK, ""},
		"one is found": {&shelf{n: 1}, http.StatusOK, ""},
	} {
		ask := desk(tt.jobs)
		for _, path := range paths {
			method, path, _ := strings.Cut(path, " ")
			if status, text := ask(method, path); status != tt.status || !strings.Contains(text, tt.text) || strings.Contains(text, "/var") {
				t.Errorf("%s, %s: %d %s", name, path, status, text)
			}
		}
	}
	if status, text := desk(&shelf{})(http.MethodPost, "/api/v1/jobs/a/cancel"); status != http.StatusOK || text != `{"id":"a","state":"succeeded"}` {
		t.Errorf("%d %s", status, text)
	}
	if _, text := desk(&shelf{})(http.MethodGet, "/api/v1/jobs"); text != `{"items":[]}` {
		t.Error(text)
	}
}
