package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Jobs tests that an engine keeps a queue of work.
func Jobs(t *testing.T, open Open) {
	t.Helper()
	runAll(t, open, map[string]func(t *testing.T, s *Subject){
		"a job is done once":                            jobDone,
		"an idempotency key leads to its job for a day": jobKeys,
		"an idempotency key is for one thing":           jobDigests,
		"a tenant has as many jobs as it may":           tenantMost,
		"a job that is given back was not tried":        jobSpared,
		"operators find anybody's job":                  jobFound,
		"what a job must not be":                        wrongJobs,
		"a job is its owner's":                          jobOwner,
		"a lost worker is fenced":                       lostWorker,
		"an attempt that nobody may repeat is lost":     lostOnlyAttempt,
		"a heartbeat keeps a job":                       jobHeartbeat,
		"a job that fails is tried again, then dead":    jobFails,
		"a dead job is sent again":                      jobRedrive,
		"a cancelled job is not begun, nor goes on":     jobCancelled,
		"tenants take turns":                            tenantTurns,
		"the first class is served first":               jobClasses,
		"a result is kept for its time":                 jobKept,
		"jobs are listed":                               jobList,
		"a worker waits for a job":                      claimWaits,
	})
}

func spec(id string) state.JobSpec {
	return state.JobSpec{ID: id, Owner: "ann", Tenant: "acme", Class: "default", Label: "about " + id, Payload: []byte("do " + id), Attempts: 3, Keep: time.Hour}
}

func enqueues(t *testing.T, s *Subject, spec state.JobSpec) {
	t.Helper()
	if id, existing, err := s.Jobs.Enqueue(t.Context(), spec); id != spec.ID || existing || err != nil {
		t.Fatalf("enqueue %q: %q, %v, %v", spec.ID, id, existing, err)
	}
}

func claims(t *testing.T, s *Subject, want string) state.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := s.Jobs.Claim(ctx, []string{"default"}, 30*time.Second)
	if err != nil || got.Job.ID != want || string(got.Job.Payload) != "do "+want {
		t.Fatalf("claim: %+v, %v, want %q", got, err, want)
	}
	return got
}

// idle expects that there is nothing to claim.
func idle(t *testing.T, s *Subject) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := s.Jobs.Claim(ctx, []string{"default"}, 30*time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("claim: %+v, %v, want none", got, err)
	}
}

func completes(t *testing.T, s *Subject, c state.Claim, result string) {
	t.Helper()
	if err := s.Jobs.Complete(t.Context(), c.Job.ID, c.Fence, []byte(result)); err != nil {
		t.Fatalf("complete %q: %v", c.Job.ID, err)
	}
}

func fails(t *testing.T, s *Subject, c state.Claim, f state.Failure, want state.JobState) {
	t.Helper()
	if got, err := s.Jobs.Fail(t.Context(), c.Job.ID, c.Fence, f); got != want || err != nil {
		t.Fatalf("fail %q: %v, %v, want %v", c.Job.ID, got, err, want)
	}
}

// fenced expects that a claim is worth nothing.
func fenced(t *testing.T, s *Subject, c state.Claim) {
	t.Helper()
	if err := s.Jobs.Heartbeat(t.Context(), c.Job.ID, c.Fence, time.Minute); !errors.Is(err, state.ErrFenced) {
		t.Errorf("heartbeat: %v", err)
	}
	if err := s.Jobs.Complete(t.Context(), c.Job.ID, c.Fence, []byte("late")); !errors.Is(err, state.ErrFenced) {
		t.Errorf("complete: %v", err)
	}
	if _, err := s.Jobs.Fail(t.Context(), c.Job.ID, c.Fence, state.Failure{}); !errors.Is(err, state.ErrFenced) {
		t.Errorf("fail: %v", err)
	}
}

func job(t *testing.T, s *Subject, id string) state.Job {
	t.Helper()
	got, err := s.Jobs.Get(t.Context(), id, "ann")
	if err != nil {
		t.Fatalf("get %q: %v", id, err)
	}
	return got
}

// stands expects a job to be in a state with a result.
func stands(t *testing.T, s *Subject, id string, want state.JobState, attempt int, result string) {
	t.Helper()
	if got := job(t, s, id); got.State != want || got.Attempt != attempt || string(got.Result) != result {
		t.Errorf("job %q: %+v, want state %v, attempt %d, result %q", id, got, want, attempt, result)
	}
}

func noJob(t *testing.T, s *Subject, id, owner string) {
	t.Helper()
	if got, err := s.Jobs.Get(t.Context(), id, owner); !errors.Is(err, state.ErrNoJob) {
		t.Errorf("get: %+v, %v", got, err)
	}
	if got, err := s.Jobs.Cancel(t.Context(), id, owner); !errors.Is(err, state.ErrNoJob) {
		t.Errorf("cancel: %v, %v", got, err)
	}
}

func jobDone(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	stands(t, s, "a", state.JobQueued, 0, "")
	created := job(t, s, "a").Created
	s.Advance(time.Second)
	c := claims(t, s, "a")
	stands(t, s, "a", state.JobRunning, 1, "")
	idle(t, s)
	completes(t, s, c, "42")
	stands(t, s, "a", state.JobSucceeded, 1, "42")
	fenced(t, s, c)
	stands(t, s, "a", state.JobSucceeded, 1, "42")
	got := job(t, s, "a")
	if got.Started.Sub(created) < time.Second || got.Finished.Before(got.Started) || got.Created != created || got.Attempts != 3 || got.Tenant != "acme" || got.Label != "about a" {
		t.Errorf("%+v", got)
	}
	if state, err := s.Jobs.Cancel(t.Context(), "a", "ann"); state != got.State || err != nil {
		t.Errorf("cancel: %v, %v", state, err)
	}
}

func jobSpared(t *testing.T, s *Subject) {
	t.Helper()
	once := spec("a")
	once.Attempts = 1
	enqueues(t, s, once)
	for range 3 {
		c := claims(t, s, "a")
		if c.Job.Attempt != 1 {
			t.Errorf("attempt %d", c.Job.Attempt)
		}
		fails(t, s, c, state.Failure{Spare: true, After: 10 * time.Second}, state.JobQueued)
		fenced(t, s, c)
		stands(t, s, "a", state.JobQueued, 0, "")
		idle(t, s)
		s.Advance(10 * time.Second)
	}
	fails(t, s, claims(t, s, "a"), state.Failure{Reason: []byte("busy"), Retry: true}, state.JobDead)
}

func jobFound(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	if got, err := s.Jobs.Find(t.Context(), "b"); !errors.Is(err, state.ErrNoJob) {
		t.Errorf("find: %+v, %v", got, err)
	}
	completes(t, s, claims(t, s, "a"), "1")
	if got, err := s.Jobs.Find(t.Context(), "a"); err != nil || got.Owner != "ann" || got.State != state.JobSucceeded || string(got.Result) != "1" {
		t.Errorf("find: %+v, %v", got, err)
	}
	s.Advance(time.Hour)
	if got, err := s.Jobs.Find(t.Context(), "a"); !errors.Is(err, state.ErrNoJob) {
		t.Errorf("find: %+v, %v", got, err)
	}
}

func wrongJobs(t *testing.T, s *Subject) {
	t.Helper()
	wrong := map[string]func(*state.JobSpec){
		"no id":           func(s *state.JobSpec) { s.ID = "" },
		"a long id":       func(s *state.JobSpec) { s.ID = strings.Repeat("x", state.MaxJobName+1) },
		"a long key":      func(s *state.JobSpec) { s.Key = strings.Repeat("x", state.MaxJobName+1) },
		"a long digest":   func(s *state.JobSpec) { s.Digest = strings.Repeat("x", state.MaxJobName+1) },
		"no attempt":      func(s *state.JobSpec) { s.Attempts = 0 },
		"a large payload": func(s *state.JobSpec) { s.Payload = make([]byte, state.MaxJobPayload+1) },
	}
	for name, spoil := range wrong {
		bad := spec("a")
		spoil(&bad)
		if _, _, err := s.Jobs.Enqueue(t.Context(), bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	largest := spec("a")
	largest.Payload = make([]byte, state.MaxJobPayload)
	enqueues(t, s, largest)
	if _, _, err := s.Jobs.Enqueue(t.Context(), spec("a")); !errors.Is(err, state.ErrJobState) {
		t.Errorf("an id is taken twice: %v", err)
	}
	c, err := s.Jobs.Claim(t.Context(), []string{"default"}, time.Minute)
	if err != nil || len(c.Job.Payload) != state.MaxJobPayload {
		t.Fatalf("claim: %d bytes, %v", len(c.Job.Payload), err)
	}
	if err := s.Jobs.Complete(t.Context(), "a", c.Fence, make([]byte, state.MaxJobResult+1)); err == nil || errors.Is(err, state.ErrFenced) {
		t.Errorf("a large result: %v", err)
	}
	completes(t, s, c, "small")
	empty := spec("b")
	empty.Payload = nil
	enqueues(t, s, empty)
	if c, err := s.Jobs.Claim(t.Context(), []string{"default"}, time.Minute); err != nil || len(c.Job.Payload) != 0 {
		t.Errorf("claim: %+v, %v", c, err)
	}
}

func jobOwner(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	noJob(t, s, "a", "bob")
	noJob(t, s, "b", "ann")
	noJob(t, s, "a", "")
	stands(t, s, "a", state.JobQueued, 0, "")
}

func lostWorker(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	late := claims(t, s, "a")
	s.Advance(30 * time.Second)
	fenced(t, s, late)
	c := claims(t, s, "a")
	if c.Fence <= late.Fence || c.Job.Attempt != 2 {
		t.Errorf("%+v after %+v", c, late)
	}
	fenced(t, s, late)
	completes(t, s, c, "2")
	stands(t, s, "a", state.JobSucceeded, 2, "2")

	enqueues(t, s, spec("b"))
	for range 3 {
		claims(t, s, "b")
		s.Advance(30 * time.Second)
	}
	idle(t, s)
	if stands(t, s, "b", state.JobDead, 3, ""); !job(t, s, "b").Lost {
		t.Error("nobody says that it was lost")
	}
}

func lostOnlyAttempt(t *testing.T, s *Subject) {
	t.Helper()
	once := spec("a")
	once.Attempts = 1
	enqueues(t, s, once)
	claims(t, s, "a")
	s.Advance(30 * time.Second)
	idle(t, s)
	if stands(t, s, "a", state.JobFailed, 1, ""); !job(t, s, "a").Lost {
		t.Error("nobody says that its outcome is unknown")
	}
}

func jobHeartbeat(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	c := claims(t, s, "a")
	for range 5 {
		s.Advance(29 * time.Second)
		if err := s.Jobs.Heartbeat(t.Context(), "a", c.Fence, 30*time.Second); err != nil {
			t.Fatalf("heartbeat: %v", err)
		}
	}
	if err := s.Jobs.Heartbeat(t.Context(), "a", c.Fence+1, 30*time.Second); !errors.Is(err, state.ErrFenced) {
		t.Errorf("heartbeat: %v", err)
	}
	s.Advance(29 * time.Second)
	completes(t, s, c, "1")
}

func jobFails(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	again := state.Failure{Reason: []byte("busy"), Retry: true, After: 10 * time.Second}
	for attempt := 1; attempt < 3; attempt++ {
		fails(t, s, claims(t, s, "a"), again, state.JobQueued)
		stands(t, s, "a", state.JobQueued, attempt, "")
		s.Advance(9 * time.Second)
		idle(t, s)
		s.Advance(time.Second)
	}
	fails(t, s, claims(t, s, "a"), again, state.JobDead)
	stands(t, s, "a", state.JobDead, 3, "busy")

	enqueues(t, s, spec("b"))
	fails(t, s, claims(t, s, "b"), state.Failure{Reason: []byte("no")}, state.JobFailed)
	stands(t, s, "b", state.JobFailed, 1, "no")
	idle(t, s)
}

func jobRedrive(t *testing.T, s *Subject) {
	t.Helper()
	once := spec("a")
	once.Attempts = 1
	enqueues(t, s, once)
	c := claims(t, s, "a")
	if err := s.Jobs.Redrive(t.Context(), "a"); !errors.Is(err, state.ErrJobState) {
		t.Errorf("redrive: %v", err)
	}
	fails(t, s, c, state.Failure{Reason: []byte("busy"), Retry: true}, state.JobDead)
	enqueued := job(t, s, "a").Queued
	if enqueued.IsZero() || enqueued != job(t, s, "a").Created {
		t.Errorf("%+v", job(t, s, "a"))
	}
	s.Advance(2 * time.Hour) // longer than it would be kept if it were not dead
	if err := s.Jobs.Redrive(t.Context(), "a"); err != nil {
		t.Fatalf("redrive: %v", err)
	}
	stands(t, s, "a", state.JobQueued, 0, "")
	if got := job(t, s, "a"); got.Created != enqueued || got.Queued.Sub(enqueued) < 2*time.Hour {
		t.Errorf("%+v", got)
	}
	again := claims(t, s, "a")
	fenced(t, s, c)
	completes(t, s, again, "1")
	stands(t, s, "a", state.JobSucceeded, 1, "1")
	if err := s.Jobs.Redrive(t.Context(), "b"); !errors.Is(err, state.ErrNoJob) {
		t.Errorf("redrive: %v", err)
	}
}

func jobCancelled(t *testing.T, s *Subject) {
	t.Helper()
	cancels := func(id string) {
		t.Helper()
		if got, err := s.Jobs.Cancel(t.Context(), id, "ann"); got != state.JobCancelled || err != nil {
			t.Errorf("cancel: %v, %v", got, err)
		}
	}
	enqueues(t, s, spec("a"))
	cancels("a")
	idle(t, s)
	enqueues(t, s, spec("b"))
	c := claims(t, s, "b")
	cancels("b")
	cancels("b")
	fenced(t, s, c)
	s.Advance(time.Minute)
	idle(t, s)
	stands(t, s, "b", state.JobCancelled, 1, "")
}

func jobKept(t *testing.T, s *Subject) {
	t.Helper()
	enqueues(t, s, spec("a"))
	completes(t, s, claims(t, s, "a"), "1")
	s.Advance(time.Hour - time.Millisecond)
	stands(t, s, "a", state.JobSucceeded, 1, "1")
	s.Advance(time.Millisecond)
	noJob(t, s, "a", "ann")
	if got, err := s.Jobs.List(t.Context(), state.JobFilter{}); len(got) > 0 || err != nil {
		t.Errorf("list: %v, %v", got, err)
	}
}

func jobList(t *testing.T, s *Subject) {
	t.Helper()
	for i := range 25 {
		next := spec(fmt.Sprintf("job %02d", i))
		if i%5 == 0 {
			next.Owner, next.Tenant = "bob", "other"
		}
		enqueues(t, s, next)
	}
	claims(t, s, "job 00")
	pages := func(filter state.JobFilter) (ids []string) {
		for {
			page, err := s.Jobs.List(t.Context(), filter)
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			if len(page) == 0 {
				return ids
			}
			for _, j := range page {
				ids = append(ids, j.ID)
			}
			filter.After = ids[len(ids)-1]
		}
	}
	if got := pages(state.JobFilter{Limit: 4}); len(got) != 25 || !slices.IsSorted(got) {
		t.Errorf("all are %v", got)
	}
	if got := pages(state.JobFilter{Owner: "bob", Limit: 3}); len(got) != 5 {
		t.Errorf("of one owner are %v", got)
	}
	if got := pages(state.JobFilter{Tenant: "other", Limit: 2}); len(got) != 5 {
		t.Errorf("of one tenant are %v", got)
	}
	if got := pages(state.JobFilter{State: state.JobQueued}); len(got) != 24 || got[0] != "job 01" {
		t.Errorf("queued are %v", got)
	}
	if got := pages(state.JobFilter{State: state.JobRunning, Owner: "bob"}); !slices.Equal(got, []string{"job 00"}) {
		t.Errorf("running are %v", got)
	}
}

func claimWaits(t *testing.T, s *Subject) {
	t.Helper()
	const workers = 5
	got := make(chan string, workers)
	for range workers {
		go func() {
			c, err := s.Jobs.Claim(t.Context(), []string{"default"}, time.Hour)
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			got <- c.Job.ID
		}()
	}
	var ids []string
	for i := range workers {
		enqueues(t, s, spec(fmt.Sprint(i)))
	}
	for range workers {
		ids = append(ids, <-got)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"0", "1", "2", "3", "4"}) {
		t.Errorf("claimed are %v", ids)
	}
}
