package mcpserver

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// subscribable is a legacy server with subscriptions. What is put into events goes
// out on the event stream of its session; a stream of a session other than the last is refused.
type subscribable struct {
	*script
	sessions atomic.Int32
	events   chan string
	cut      chan struct{} // ends the stream, and the session with it
}

func newSubscribable(capabilities string) *subscribable {
	sv := &subscribable{script: &script{}, events: make(chan string, 8), cut: make(chan struct{}, 1)}
	lost := atomic.Int32{}
	sv.initial = func(w http.ResponseWriter, id string) {
		w.Header().Set("Mcp-Session-Id", "session-"+strconv.Itoa(int(sv.sessions.Add(1))))
		answerJSON(w, 200, result(id, `{"protocolVersion":"2025-11-25","capabilities":`+capabilities+`,"serverInfo":{"name":"s","version":"1"}}`))
	}
	gone := func(h http.Header) bool {
		n, _ := strconv.Atoi(strings.TrimPrefix(h.Get("Mcp-Session-Id"), "session-"))
		return int32(n) <= lost.Load()
	}
	sv.get = func(w http.ResponseWriter, r *http.Request) {
		if gone(r.Header) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answerEvents(w)
		for {
			select {
			case e := <-sv.events:
				answerEvents(w, event(e))
			case <-sv.cut:
				lost.Store(sv.sessions.Load())
				return
			case <-r.Context().Done():
				return
			}
		}
	}
	sv.answer = func(w http.ResponseWriter, r received) {
		switch {
		case gone(r.header):
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.body, "forbidden:"):
			answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32002,"message":"no such resource"}}`)
		default:
			answerJSON(w, 200, result(r.id, `{}`))
		}
	}
	return sv
}

// Corner case 5.23: the first who wants a URI subscribes, the last one unsubscribes.
func TestCorner5_23_LegacySubscriptionsAreCounted(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	s, n := watched(t, sv, "legacy")
	subscribe(t, s, "a:1", "b:2")
	subscribe(t, s, "a:1")
	if got := sv.find("POST", "resources/subscribe"); len(got) != 2 {
		t.Errorf("subscribed %d times", len(got))
	}
	sv.events <- `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}`
	eventually(t, "the update is passed on", func() bool { return n.has("resources/updated a:1") })
	s.Unsubscribe([]string{"a:1", "b:2"})
	eventually(t, "one is given up", func() bool { return len(sv.find("POST", "resources/unsubscribe")) == 1 })
	if got := sv.find("POST", "resources/unsubscribe")[0].body; !strings.Contains(got, `"b:2"`) {
		t.Errorf("got %s", got)
	}
	s.Unsubscribe([]string{"a:1"})
	eventually(t, "the other too", func() bool { return len(sv.find("POST", "resources/unsubscribe")) == 2 })
}

func TestLegacyServerThatDoesNotAgree(t *testing.T) {
	t.Parallel()
	s, _ := watched(t, newSubscribable(`{"resources":{"subscribe":true}}`), "legacy")
	_, err := s.Subscribe(t.Context(), []string{"forbidden:1"})
	if e, ok := errors.AsType[*rpc.WireError](err); !ok || e.Code != -32002 {
		t.Errorf("got %v", err)
	}
	subscribe(t, s, "a:1")
	without := newSubscribable(`{"resources":{}}`)
	s, _ = watched(t, without, "legacy")
	_, err = s.Subscribe(t.Context(), []string{"a:1"})
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.InvalidParams {
		t.Errorf("got %v", err)
	}
	if got := without.find("POST", "resources/subscribe"); len(got) != 0 {
		t.Error("it was asked what it does not have")
	}
}

// A new session gets the subscriptions of the old one, without a
// call to notice that the old one ended.
func TestCorner5_16_LegacySubscriptionsOutliveTheSession(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	s, n := watched(t, sv, "legacy")
	subscribe(t, s, "a:1")
	sv.cut <- struct{}{}
	eventually(t, "subscribed again", func() bool { return len(sv.find("POST", "resources/subscribe")) == 2 })
	eventually(t, "catching up", func() bool { return n.has("resources/updated a:1") })
	if sv.sessions.Load() != 2 {
		t.Errorf("%d sessions", sv.sessions.Load())
	}
}

// 5.16: what was agreed to before is asked for until the upstream answers, however long
// that takes.
func TestResubscriptionWaitsForTheUpstream(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	var down atomic.Bool
	down.Store(true)
	var refused atomic.Int32
	s, _ := watched(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		sv.ServeHTTP(w, r)
	}), "legacy")
	told := make(chan []string, 2)
	s.Resubscribe([]string{"a:1", "forbidden:1"}, func(refused []string) { told <- refused })
	eventually(t, "the upstream is asked twice", func() bool { return refused.Load() > 1 })
	select {
	case got := <-told:
		t.Fatalf("told %v before the upstream answered", got)
	default:
	}
	down.Store(false)
	if got := <-told; len(got) != 1 || got[0] != "forbidden:1" {
		t.Errorf("refused are %v", got)
	}
	s.Unsubscribe([]string{"a:1", "forbidden:1"})
	eventually(t, "it is given up", func() bool { return len(sv.find("POST", "resources/unsubscribe")) == 1 })

	// What is watched already is answered too.
	subscribe(t, s, "a:1")
	s.Resubscribe([]string{"a:1"}, func(refused []string) { told <- refused })
	if got := <-told; len(got) != 0 {
		t.Errorf("refused are %v", got)
	}
	asked := 0
	for _, r := range sv.find("POST", "resources/subscribe") {
		asked += strings.Count(r.body, `"a:1"`)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
