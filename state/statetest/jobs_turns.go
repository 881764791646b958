package statetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

func tenantTurns(t *testing.T, s *Subject) {
	t.Helper()
	add := func(tenant string, n int) {
		for i := range n {
			next := spec(fmt.Sprint(tenant, i))
			next.Tenant = tenant
			enqueues(t, s, next)
		}
	}
	add("a", 30)
	add("b", 3)
	add("c", 2)
	var order []string
	for range 8 {
		c, err := s.Jobs.Claim(t.Context(), []string{"default"}, time.Hour)
		if err != nil {
			t.Fatalf("claim: %v", err)
		}
		order = append(order, c.Job.ID)
	}
	for _, tenant := range []struct {
		name string
		want []string
	}{{"a", []string{"a0", "a1", "a2"}}, {"b", []string{"b0", "b1", "b2"}}, {"c", []string{"c0", "c1"}}} {
		got := slices.DeleteFunc(slices.Clone(order), func(id string) bool { return !strings.HasPrefix(id, tenant.name) })
		if !slices.Equal(got, tenant.want) {
			t.Errorf("of %s come %v, among %v", tenant.name, got, order)
		}
	}
	// A job that comes back keeps its place among those of its tenant.
	if _, err := s.Jobs.Fail(t.Context(), "a1", 1, state.Failure{Retry: true}); err != nil {
		t.Fatalf("fail: %v", err)
	}
	claims(t, s, "a1")
	claims(t, s, "a3")
}

func tenantMost(t *testing.T, s *Subject) {
	t.Helper()
	of := func(tenant, id string) state.JobSpec {
		out := spec(id)
		out.Tenant, out.Most = tenant, 2
		return out
	}
	full := func() {
		t.Helper()
		if _, _, err := s.Jobs.Enqueue(t.Context(), of("a", "one more")); !errors.Is(err, state.ErrManyJobs) {
			t.Errorf("enqueue: %v", err)
		}
	}
	enqueues(t, s, of("a", "a1"))
	enqueues(t, s, of("a", "a2"))
	full()
	enqueues(t, s, of("b", "b1"))
	c := claims(t, s, "a1")
	full()
	if s.Restart != nil {
		s.Restart()
		full()
		c = claims(t, s, "a1")
	}
	completes(t, s, c, "1")
	enqueues(t, s, of("a", "a3"))
	full()
	if _, err := s.Jobs.Cancel(t.Context(), "a3", "ann"); err != nil {
		t.Fatal(err)
	}
	enqueues(t, s, of("a", "a4"))
	full()
	any := of("a", "a5")
	any.Most = 0
	enqueues(t, s, any)
}

func jobClasses(t *testing.T, s *Subject) {
	t.Helper()
	slow, other := spec("slow"), spec("other")
	slow.Class, other.Class = "batch", "other"
	enqueues(t, s, slow)
	enqueues(t, s, other)
	enqueues(t, s, spec("a"))
	for _, want := range []string{"a", "slow"} {
		c, err := s.Jobs.Claim(t.Context(), []string{"default", "batch"}, time.Hour)
		if err != nil || c.Job.ID != want {
			t.Errorf("claim: %+v, %v, want %q", c, err, want)
		}
	}
	idle(t, s)
}
