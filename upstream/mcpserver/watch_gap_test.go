package mcpserver

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A session's stream that was cut and opened again, in a session that lives on: what was
// told in between is lost, so that all may have changed.
func TestGapInTheStreamOfASession(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	cut := make(chan struct{})
	var opened atomic.Int32
	sv.get = func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w)
		w.(http.Flusher).Flush()
		if opened.Add(1) == 1 {
			<-cut
			return
		}
		<-r.Context().Done()
	}
	s, n := watched(t, sv, "legacy")
	subscribe(t, s, "a:1")
	close(cut)
	eventually(t, "catching up", func() bool { return n.has("resources/updated a:1") })
	if got := sv.find("POST", "resources/subscribe"); len(got) != 1 || sv.sessions.Load() != 1 {
		t.Errorf("subscribed %d times in %d sessions", len(got), sv.sessions.Load())
	}
}

// Nobody hears what a server tells before there is a stream, so it is asked when there is.
func TestSubscriptionWaitsForTheStream(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	var begun, early atomic.Bool
	sv.get = func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		begun.Store(true)
		answerEvents(w)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	sv.answer = func(w http.ResponseWriter, r received) {
		early.Store(early.Load() || !begun.Load())
		answerJSON(w, 200, result(r.id, `{}`))
	}
	s, _ := watched(t, sv, "legacy")
	subscribe(t, s, "a:1")
	if early.Load() {
		t.Error("it subscribed before it could hear")
	}
}

// A server without a stream of sessions is asked all the same.
func TestSubscriptionDoesNotWaitForNothing(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	sv.get = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }
	s, _ := watched(t, sv, "legacy")
	subscribe(t, s, "a:1")
}

// A new session in which the server refuses at first what it agreed to before: it is asked
// again, and when it agrees that may have changed.
func TestWhatIsRefusedForAWhile(t *testing.T) {
	t.Parallel()
	sv := newSubscribable(`{"resources":{"subscribe":true}}`)
	agree := sv.answer
	var refused atomic.Int32
	sv.answer = func(w http.ResponseWriter, r received) {
		if sv.sessions.Load() > 1 && refused.Load() < 2 && r.method == "resources/subscribe" {
			refused.Add(1)
			answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32002,"message":"not yet"}}`)
			return
		}
		agree(w, r)
	}
	s, n := watched(t, sv, "legacy")
	subscribe(t, s, "a:1")
	sv.cut <- struct{}{}
	eventually(t, "catching up", func() bool { return n.has("resources/updated a:1") })
	if refused.Load() != 2 {
		t.Errorf("it was told after %d refusals", refused.Load())
	}
}

// A stream that ended before another took its place leaves a gap, though nobody had
// noticed yet.
func TestStreamThatEndedBeforeItWasReplaced(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"tools":{"listChanged":true},"resources":{"subscribe":true}}`)
	s, n := watched(t, ls, "modern")
	k := newKeeper(newWatch(s)) // which nobody runs but the test
	defer k.hangUp()
	apply := func(ids ...string) {
		t.Helper()
		if refused, err := k.apply(interestsIn(false, ids)); err != nil || len(refused) != 0 {
			t.Fatalf("%v, %v", refused, err)
		}
	}
	apply("a:1")
	apply("a:1", "b:2")
	if n.has("resources/updated a:1") {
		t.Error("told of a gap where there was none")
	}
	last := k.stream
	for _, st := range ls.streams {
		close(st.cut)
	}
	<-last.over()
	apply("a:1")
	if !n.has("resources/updated a:1") || !n.has("tools/list_changed") {
		t.Errorf("not told of the gap: %s", strings.Join(n.all, ", "))
	}
}
