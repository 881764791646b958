package statetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Engine opens the engine under test, and again what an earlier one left. The
// function that comes with it ends it in an orderly way.
type Engine func(tb testing.TB) (sessions state.Sessions, end func())

// Sessions tests that an engine remembers sessions.
func Sessions(t *testing.T, open Engine) {
	t.Helper()
	tests := map[string]func(t *testing.T, s state.Sessions, now time.Time){
		"nothing is known of a stranger": func(t *testing.T, s state.Sessions, _ time.Time) {
			t.Helper()
			recalls(t, s, "a", state.Session{})
		},
		"the last use is the latest": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			s.Note("a", now, now.Add(time.Hour))
			s.Note("a", now.Add(-time.Minute), now.Add(time.Hour))
			recalls(t, s, "a", state.Session{Used: now})
			s.Note("a", now.Add(time.Minute), now.Add(time.Hour))
			recalls(t, s, "a", state.Session{Used: now.Add(time.Minute)})
			recalls(t, s, "b", state.Session{})
		},
		"an end is final": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			s.Note("a", now, now.Add(time.Hour))
			ended(t, s, "a", now.Add(time.Hour))
			s.Note("a", now.Add(time.Minute), now.Add(time.Hour))
			ended(t, s, "a", now.Add(time.Hour))
			if got := recalled(t, s, "a"); !got.Ended {
				t.Errorf("%+v came back", got)
			}
		},
		"what nobody used can end": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			ended(t, s, "a", now.Add(time.Hour))
			recalls(t, s, "a", state.Session{Ended: true})
		},
		"the level is the last one": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			leveled(t, s, "a", "debug", now.Add(time.Hour))
			leveled(t, s, "a", "error", now.Add(time.Hour))
			s.Note("a", now, now.Add(time.Hour))
			recalls(t, s, "a", state.Session{Used: now, Level: "error"})
			if err := s.SetLevel(t.Context(), "a", strings.Repeat("x", state.MaxLevel+1), now.Add(time.Hour)); err == nil {
				t.Error("a level of any length is kept")
			}
		},
		"what is past its time is forgotten": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			s.Note("a", now, now.Add(-time.Second))
			ended(t, s, "b", now.Add(-time.Second))
			recalls(t, s, "a", state.Session{})
			recalls(t, s, "b", state.Session{})
		},
		"many at once": func(t *testing.T, s state.Sessions, now time.Time) {
			t.Helper()
			crowd(t, s, now)
		},
	}
	maps.Copy(tests, belongings())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, end := open(t)
			defer end()
			test(t, s, time.Now().Truncate(time.Millisecond))
		})
	}
}

// Reopened tests that an engine knows after it ended what it knew before. Each call
// of open must lead to what the last one left.
func Reopened(t *testing.T, open Engine) {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond)
	levels := []string{"info", "emergency"}
	s, end := open(t)
	for i := range 60 {
		key := fmt.Sprint(i)
		s.Note(key, now, now.Add(time.Hour))
		leveled(t, s, key, levels[i%2], now.Add(time.Hour))
		introduced(t, s, key, "client "+key, now.Add(time.Hour))
		subscribed(t, s, key, subscription("kept "+key), now.Add(time.Hour))
		subscribed(t, s, key, subscription("given up"), now.Add(time.Hour))
		unsubscribed(t, s, key, "given up")
		if i%3 == 0 {
			ended(t, s, key, now.Add(time.Hour))
		}
	}
	end()
	s, end = open(t)
	defer end()
	for i := range 60 {
		key := fmt.Sprint(i)
		want := state.Session{Used: now, Ended: i%3 == 0, Level: levels[i%2]}
		if !want.Ended {
			want.Client, want.Subscriptions = []byte("client "+key), []state.ResourceSubscription{subscription("kept " + key)}
		}
		recalls(t, s, key, want)
	}
}

// crowd notes and ends from many goroutines: whoever was told that a session ended
// finds it ended.
func crowd(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprint(i % 25)
				s.Note(key, now.Add(time.Duration(i)*time.Second), now.Add(time.Hour))
				if i%8 != g {
					continue
				}
				ended(t, s, key, now.Add(time.Hour))
				if got := recalled(t, s, key); !got.Ended {
					t.Errorf("session %s: %+v after its end", key, got)
				}
			}
		})
	}
	wg.Wait()
}

func ended(tb testing.TB, s state.Sessions, key string, until time.Time) {
	tb.Helper()
	if err := s.End(context.WithoutCancel(tb.Context()), key, until); err != nil {
		tb.Errorf("end %q: %v", key, err)
	}
}

func leveled(tb testing.TB, s state.Sessions, key, level string, until time.Time) {
	tb.Helper()
	if err := s.SetLevel(context.WithoutCancel(tb.Context()), key, level, until); err != nil {
		tb.Errorf("level of %q: %v", key, err)
	}
}

func recalled(tb testing.TB, s state.Sessions, key string) state.Session {
	tb.Helper()
	got, err := s.Recall(key)
	if err != nil {
		tb.Errorf("recall %q: %v", key, err)
	}
	return got
}

func recalls(tb testing.TB, s state.Sessions, key string, want state.Session) {
	tb.Helper()
	got := recalled(tb, s, key)
	slices.SortFunc(got.Subscriptions, func(a, b state.ResourceSubscription) int { return strings.Compare(a.URI, b.URI) })
	if !got.Used.Equal(want.Used) || got.Ended != want.Ended || got.Level != want.Level ||
		!bytes.Equal(got.Client, want.Client) || !slices.Equal(got.Subscriptions, want.Subscriptions) {
		tb.Errorf("session %q: %+v, want %+v", key, got, want)
	}
}
