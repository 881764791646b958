package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// told is what an upstream told of, as OnNotice gets it.
type told struct {
	mu  sync.Mutex
	all []string
}

func (n *told) take(m *rpc.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	uri, _ := m.Text("uri")
	n.all = append(n.all, strings.TrimSpace(strings.TrimPrefix(m.Method, "notifications/")+" "+uri))
}

func (n *told) has(want string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.all, want)
}

// listener is a modern server over HTTP that serves subscriptions.
type listener struct {
	*script
	mu      sync.Mutex
	streams []*listenStream
	ack     func(filter string) string // what is acknowledged; nil: all; empty: nothing at all, ever
}

type listenStream struct {
	id     string
	filter string
	events chan string
	cut    chan struct{}
	ended  <-chan struct{}
}

func newListener(capabilities string) *listener {
	ls := &listener{script: &script{}}
	ls.discover = func(w http.ResponseWriter, id string) {
		answerJSON(w, 200, result(id, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":`+capabilities+`,"ttlMs":60000,"cacheScope":"public"}`))
	}
	ls.answer = ls.listen
	return ls
}

func (ls *listener) listen(w http.ResponseWriter, r received) {
	var body struct {
		Params struct {
			Notifications json.RawMessage `json:"notifications"`
		} `json:"params"`
	}
	_ = json.Unmarshal([]byte(r.body), &body)
	st := &listenStream{id: r.id, filter: string(body.Params.Notifications), events: make(chan string, 8), cut: make(chan struct{}), ended: r.ctx.Done()}
	ack := st.filter
	if ls.ack != nil {
		ack = ls.ack(st.filter)
	}
	ls.mu.Lock()
	ls.streams = append(ls.streams, st)
	ls.mu.Unlock()
	answerEvents(w)
	if ack != "" {
		answerEvents(w, event(st.notification("subscriptions/acknowledged", `"notifications":`+ack)))
	}
	for {
		select {
		case e := <-st.events:
			answerEvents(w, event(e))
		case <-st.cut:
			return
		case <-r.ctx.Done():
			return
		}
	}
}

func (st *listenStream) notification(method, member string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/%s","params":{%s,"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`, method, member, st.id)
}

func (st *listenStream) live() bool {
	select {
	case <-st.ended:
		return false
	case <-st.cut:
		return false
	default:
		return true
	}
}

// stream returns the n-th stream once it was begun.
func (ls *listener) stream(t *testing.T, n int) *listenStream {
	t.Helper()
	eventually(t, fmt.Sprintf("stream %d", n), func() bool {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		return len(ls.streams) > n
	})
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.streams[n]
}

// watched returns a server of the given script, and what it told of.
func watched(t *testing.T, h http.Handler, era string) (*Server, *told) {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	s := newServer(t, config.Upstream{Name: "files", URL: web.URL, Era: era, Timeout: 10 * time.Second})
	n := &told{}
	s.OnNotice(n.take)
	return s, n
}

// subscribe is Subscribe for URIs that are agreed to.
func subscribe(t *testing.T, s *Server, uris ...string) {
	t.Helper()
	agreed, err := s.Subscribe(t.Context(), uris)
	if diff := cmp.Diff(uris, agreed); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
}

func TestListsOfAModernServerAreWatched(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true}}`)
	s, n := watched(t, ls, "auto")
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := ls.stream(t, 0)
	if want := `{"toolsListChanged":true,"resourcesListChanged":true}`; st.filter != want {
		t.Errorf("asked for %s, want %s", st.filter, want)
	}
	st.events <- st.notification("tools/list_changed", `"x":1`)
	eventually(t, "the notification is passed on", func() bool { return n.has("tools/list_changed") })
}

func TestServerThatTellsNothingIsNotListenedTo(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"tools":{}}`)
	s, _ := watched(t, ls, "auto")
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.watch.running {
		t.Error("it is watched")
	}
}

// Corner case 5.23: what is asked for is a union, changed without a gap.
func TestModernSubscriptionsAreAUnion(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"resources":{"subscribe":true}}`)
	overlap := make(chan bool, 8)
	ls.ack = func(filter string) string {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		if n := len(ls.streams); n > 0 {
			overlap <- ls.streams[n-1].live()
		}
		return filter
	}
	s, n := watched(t, ls, "auto")
	subscribe(t, s, "a:1")
	subscribe(t, s, "a:1") // shares the first one
	subscribe(t, s, "b:2")
	first, second := ls.stream(t, 0), ls.stream(t, 1)
	if want := `{"resourceSubscriptions":["a:1","b:2"]}`; first.filter != `{"resourceSubscriptions":["a:1"]}` || second.filter != want {
		t.Errorf("asked for %s, then %s", first.filter, second.filter)
	}
	if !<-overlap {
		t.Error("the old stream ended before the new one was acknowledged")
	}
	eventually(t, "the old stream ends", func() bool { return !first.live() })
	second.events <- second.notification("resources/updated", `"uri":"b:2"`)
	eventually(t, "the update is passed on", func() bool { return n.has("resources/updated b:2") })
	s.Unsubscribe([]string{"a:1"})
	s.Unsubscribe([]string{"a:1"})
	if third := ls.stream(t, 2); third.filter != `{"resourceSubscriptions":["b:2"]}` {
		t.Errorf("at last asked for %s", third.filter)
	}
}

func TestModernServerThatDoesNotAgree(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"resources":{"subscribe":true}}`)
	ls.ack = func(string) string { return `{"resourceSubscriptions":["a:1"]}` }
	s, _ := watched(t, ls, "auto")
	agreed, err := s.Subscribe(t.Context(), []string{"a:1", "b:2"})
	if err != nil || !slices.Equal(agreed, []string{"a:1"}) {
		t.Errorf("got %v, %v", agreed, err)
	}
	_, err = s.Subscribe(t.Context(), []string{"b:2"})
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.InvalidParams {
		t.Errorf("got %v", err)
	}
}

// Corner case 5.23: one upstream that hangs must not hold a client up for ever.
func TestAcknowledgementThatNeverComes(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"resources":{"subscribe":true}}`)
	ls.ack = func(string) string { return "" }
	s, _ := watched(t, ls, "auto")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Subscribe(ctx, []string{"a:1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	eventually(t, "nothing is wanted any more", func() bool { uris, _ := s.watch.all(); return len(uris) == 0 })
}

func TestModernServerWithoutSubscriptions(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"resources":{}}`)
	ls.answer = func(w http.ResponseWriter, r received) {
		answerJSON(w, 404, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32601,"message":"no such method"}}`)
	}
	s, _ := watched(t, ls, "modern")
	_, err := s.Subscribe(t.Context(), []string{"a:1"})
	if e, ok := errors.AsType[*rpc.WireError](err); !ok || e.Code != -32601 {
		t.Errorf("got %v", err)
	}
}

// A stream that was cut is begun again, and all that it was for may have changed.
func TestStreamThatIsCutBeginsAgain(t *testing.T) {
	t.Parallel()
	ls := newListener(`{"tools":{"listChanged":true},"resources":{"subscribe":true}}`)
	s, n := watched(t, ls, "auto")
	subscribe(t, s, "a:1")
	close(ls.stream(t, 0).cut)
	eventually(t, "catching up", func() bool { return n.has("tools/list_changed") && n.has("resources/updated a:1") })
	if st := ls.stream(t, 1); !st.live() {
		t.Error("there is no stream again")
	}
}

// On one channel for all, acknowledgements are told apart by the subscription.
func TestWatchOverStdio(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted("fake-modern"))
	mustRun(t, s, newCall(t, modernClient(), modernToolCall("1", "echo", "{}")))
	_, err := s.Subscribe(t.Context(), []string{"a:1"})
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.InvalidParams {
		t.Errorf("got %v", err)
	}
	mustRun(t, s, newCall(t, modernClient(), modernToolCall("2", "echo", "{}")))
}
