package statetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// belongings are the tests of what clients said of themselves and subscribed to.
func belongings() map[string]func(t *testing.T, s state.Sessions, now time.Time) {
	return map[string]func(t *testing.T, s state.Sessions, now time.Time){
		"the client is the last one":             lastClient,
		"a URI is subscribed to once":            oneSubscription,
		"an end takes what the session had":      endTakesAll,
		"a lapse takes all but the use":          lapseTakesAll,
		"what is past its time has nothing":      nothingPastItsTime,
		"what is remembered of one is bounded":   bounded,
		"what changes at once changes in order":  changesInOrder,
		"keys and URIs are not mixed up":         notMixedUp,
		"what nobody has can be given up":        nothingToGiveUp,
		"after an end nothing is remembered new": nothingAfterAnEnd,
	}
}

func lastClient(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	text := []byte("who")
	if err := s.SetClient(t.Context(), "a", text, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	text[0] = 'W' // the caller's bytes are the caller's
	recalls(t, s, "a", state.Session{Client: []byte("who")})
	introduced(t, s, "a", "another", now.Add(time.Hour))
	recalls(t, s, "a", state.Session{Client: []byte("another")})
	recalls(t, s, "b", state.Session{})
}

func oneSubscription(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	subscribed(t, s, "a", subscription("x:1"), now.Add(time.Hour))
	subscribed(t, s, "a", subscription("x:2"), now.Add(time.Hour))
	moved := state.ResourceSubscription{URI: "x:1", Upstream: "other", Own: "y:1"}
	subscribed(t, s, "a", moved, now.Add(time.Hour))
	subscribed(t, s, "a", moved, now.Add(time.Hour))
	recalls(t, s, "a", state.Session{Subscriptions: []state.ResourceSubscription{moved, subscription("x:2")}})
	unsubscribed(t, s, "a", "x:1")
	recalls(t, s, "a", state.Session{Subscriptions: []state.ResourceSubscription{subscription("x:2")}})
	unsubscribed(t, s, "a", "x:2")
	recalls(t, s, "a", state.Session{})
}

func endTakesAll(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	introduced(t, s, "a", "who", now.Add(time.Hour))
	subscribed(t, s, "a", subscription("x:1"), now.Add(time.Hour))
	ended(t, s, "a", now.Add(time.Hour))
	recalls(t, s, "a", state.Session{Ended: true})
}

func nothingAfterAnEnd(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	ended(t, s, "a", now.Add(time.Hour))
	introduced(t, s, "a", "who", now.Add(time.Hour))
	subscribed(t, s, "a", subscription("x:1"), now.Add(time.Hour))
	recalls(t, s, "a", state.Session{Ended: true})
}

func lapseTakesAll(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	s.Note("a", now, now.Add(time.Hour))
	leveled(t, s, "a", "error", now.Add(time.Hour))
	introduced(t, s, "a", "who", now.Add(time.Hour))
	subscribed(t, s, "a", subscription("x:1"), now.Add(time.Hour))
	s.Lapse("a")
	recalls(t, s, "a", state.Session{Used: now, Level: "error"})
	s.Lapse("b")
	recalls(t, s, "b", state.Session{})
}

func nothingPastItsTime(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	introduced(t, s, "a", "who", now.Add(-time.Second))
	subscribed(t, s, "a", subscription("x:1"), now.Add(-time.Second))
	recalls(t, s, "a", state.Session{})
}

func nothingToGiveUp(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	unsubscribed(t, s, "a", "x:1")
	subscribed(t, s, "a", subscription("x:1"), now.Add(time.Hour))
	unsubscribed(t, s, "a", "x:2")
	recalls(t, s, "a", state.Session{Subscriptions: []state.ResourceSubscription{subscription("x:1")}})
}

func bounded(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, state.ErrFull) {
			t.Errorf("%s: %v", what, err)
		}
	}
	subscribe := func(sub state.ResourceSubscription) error {
		return s.Subscribe(t.Context(), "a", sub, now.Add(time.Hour))
	}
	full("a long client", s.SetClient(t.Context(), "a", make([]byte, state.MaxClient+1), now.Add(time.Hour)))
	full("a long URI", subscribe(state.ResourceSubscription{URI: strings.Repeat("x", state.MaxSubscriptionURI+1)}))
	long := strings.Repeat("y", state.MaxSubscriptionURI)
	var err error
	for i := 0; i <= state.MaxSubscribed/len(long) && err == nil; i++ {
		err = subscribe(state.ResourceSubscription{URI: fmt.Sprint(i), Own: long})
	}
	full("many bytes", err)
	if n := len(recalled(t, s, "a").Subscriptions); n != state.MaxSubscribed/len(long)-1 {
		t.Errorf("%d long subscriptions are remembered", n)
	}
	introduced(t, s, "a", strings.Repeat("x", state.MaxClient), now.Add(time.Hour))
}

// changesInOrder changes one session from many goroutines, each its own URI: what each did
// last holds.
func changesInOrder(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			uri := fmt.Sprint("x:", g)
			for range 5 {
				unsubscribed(t, s, "a", uri)
				subscribed(t, s, "a", subscription(uri), now.Add(time.Hour))
			}
			if g%2 == 0 {
				unsubscribed(t, s, "a", uri)
			}
		})
	}
	wg.Wait()
	recalls(t, s, "a", state.Session{Subscriptions: []state.ResourceSubscription{
		subscription("x:1"), subscription("x:3"), subscription("x:5"), subscription("x:7"),
	}})
}

func notMixedUp(t *testing.T, s state.Sessions, now time.Time) {
	t.Helper()
	subscribed(t, s, "a", subscription("bc"), now.Add(time.Hour))
	subscribed(t, s, "ab", subscription("c"), now.Add(time.Hour))
	unsubscribed(t, s, "ab", "c")
	recalls(t, s, "a", state.Session{Subscriptions: []state.ResourceSubscription{subscription("bc")}})
}

func subscription(uri string) state.ResourceSubscription {
	return state.ResourceSubscription{URI: uri, Upstream: "up", Own: "own of " + uri}
}

func introduced(tb testing.TB, s state.Sessions, key, text string, until time.Time) {
	tb.Helper()
	if err := s.SetClient(context.WithoutCancel(tb.Context()), key, []byte(text), until); err != nil {
		tb.Errorf("client of %q: %v", key, err)
	}
}

func subscribed(tb testing.TB, s state.Sessions, key string, sub state.ResourceSubscription, until time.Time) {
	tb.Helper()
	if err := s.Subscribe(context.WithoutCancel(tb.Context()), key, sub, until); err != nil {
		tb.Errorf("subscribe %q to %s: %v", key, sub.URI, err)
	}
}

func unsubscribed(tb testing.TB, s state.Sessions, key, uri string) {
	tb.Helper()
	if err := s.Unsubscribe(context.WithoutCancel(tb.Context()), key, uri); err != nil {
		tb.Errorf("unsubscribe %q from %s: %v", key, uri, err)
	}
}
