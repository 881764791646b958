package statetest

import (
	"errors"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

func jobKeys(t *testing.T, s *Subject) {
	t.Helper()
	first, second, other := spec("a"), spec("b"), spec("c")
	first.Key, second.Key, other.Key = "k", "k", "k"
	other.Owner = "bob"
	again := func(want string) {
		t.Helper()
		if id, existing, err := s.Jobs.Enqueue(t.Context(), second); id != want || !existing || err != nil {
			t.Errorf("enqueue: %q, %v, %v", id, existing, err)
		}
	}
	enqueues(t, s, first)
	again("a")
	enqueues(t, s, other)
	completes(t, s, claims(t, s, "a"), "1")
	claims(t, s, "c")
	again("a")
	s.Advance(2 * time.Hour)
	noJob(t, s, "a", "ann")
	again("a")
	s.Advance(state.KeepJobKey)
	enqueues(t, s, second)
	again("b")
}

func jobDigests(t *testing.T, s *Subject) {
	t.Helper()
	first, second := spec("a"), spec("b")
	first.Key, first.Digest = "k", "this"
	second.Key, second.Digest = "k", "that"
	enqueues(t, s, first)
	refused := func() {
		t.Helper()
		if id, existing, err := s.Jobs.Enqueue(t.Context(), second); !errors.Is(err, state.ErrJobKey) {
			t.Errorf("enqueue: %q, %v, %v", id, existing, err)
		}
	}
	refused()
	completes(t, s, claims(t, s, "a"), "1")
	s.Advance(2 * time.Hour) // it is forgotten, but for its key
	refused()
	if s.Restart != nil {
		s.Restart()
		refused()
	}
	same := spec("c")
	same.Key, same.Digest = first.Key, first.Digest
	if id, existing, err := s.Jobs.Enqueue(t.Context(), same); id != "a" || !existing || err != nil {
		t.Errorf("enqueue: %q, %v, %v", id, existing, err)
	}
	s.Advance(state.KeepJobKey)
	enqueues(t, s, second)
}
