package statetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Bus tests that an engine carries messages to who listens.
func Bus(t *testing.T, open Open) {
	t.Helper()
	runAll(t, open, map[string]func(t *testing.T, s *Subject){
		"who listens hears":                           busHears,
		"who falls behind is told of the gap":         busGap,
		"who waits is woken":                          busWakes,
		"who has closed hears nothing, nor waits":     busClosed,
		"who gives up is told why, and loses nothing": busGivesUp,
	})
}

func listen(t *testing.T, s *Subject, topics ...string) state.Listener {
	t.Helper()
	l, err := s.Bus.Subscribe(t.Context(), topics...)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return l
}

func publish(t *testing.T, s *Subject, topic, data string) {
	t.Helper()
	if err := s.Bus.Publish(t.Context(), topic, []byte(data)); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func hears(t *testing.T, l state.Listener, topic, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := l.Next(ctx)
	if err != nil || e.Topic != topic || string(e.Data) != data || e.Gap {
		t.Fatalf("next: %+v, %v, want %q of %q", e, err, data, topic)
	}
}

// quiet expects that nothing comes.
func quiet(t *testing.T, l state.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e, err := l.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next: %+v, %v, want nothing", e, err)
	}
}

func busHears(t *testing.T, s *Subject) {
	t.Helper()
	publish(t, s, "a", "too early")
	one, both := listen(t, s, "a"), listen(t, s, "a", "b")
	defer one.Close()
	defer both.Close()
	publish(t, s, "a", "1")
	publish(t, s, "b", "2")
	publish(t, s, "c", "3")
	publish(t, s, "a", "4")
	hears(t, one, "a", "1")
	hears(t, one, "a", "4")
	quiet(t, one)
	hears(t, both, "a", "1")
	hears(t, both, "b", "2")
	hears(t, both, "a", "4")
	quiet(t, both)
}

func busGap(t *testing.T, s *Subject) {
	t.Helper()
	slow, fast := listen(t, s, "a"), listen(t, s, "a")
	defer slow.Close()
	defer fast.Close()
	const many = 20_000
	for i := range many {
		publish(t, s, "a", fmt.Sprint(i))
		hears(t, fast, "a", fmt.Sprint(i))
	}
	e, err := slow.Next(t.Context())
	if err != nil || !e.Gap {
		t.Fatalf("next: %+v, %v, want a gap", e, err)
	}
	last := ""
	for last != fmt.Sprint(many-1) { // what came last is there, and no second gap
		e, err := slow.Next(t.Context())
		if err != nil || e.Gap {
			t.Fatalf("after %q: %+v, %v", last, e, err)
		}
		last = string(e.Data)
	}
}

func busWakes(t *testing.T, s *Subject) {
	t.Helper()
	l := listen(t, s, "a")
	defer l.Close()
	heard := make(chan error, 2)
	for range cap(heard) {
		go func() {
			_, err := l.Next(t.Context())
			heard <- err
		}()
	}
	publish(t, s, "a", "1")
	publish(t, s, "a", "2")
	for range cap(heard) {
		if err := <-heard; err != nil {
			t.Errorf("next: %v", err)
		}
	}
}

func busClosed(t *testing.T, s *Subject) {
	t.Helper()
	l := listen(t, s, "a", "b")
	waits := make(chan error)
	go func() {
		_, err := l.Next(t.Context())
		waits <- err
	}()
	l.Close()
	l.Close()
	if err := <-waits; !errors.Is(err, state.ErrClosed) {
		t.Errorf("next: %v", err)
	}
	publish(t, s, "a", "1")
}

func busGivesUp(t *testing.T, s *Subject) {
	t.Helper()
	l := listen(t, s, "a")
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := l.Next(ctx); !errors.Is(err, why) {
		t.Errorf("next: %v", err)
	}
	publish(t, s, "a", "1")
	hears(t, l, "a", "1")
}
