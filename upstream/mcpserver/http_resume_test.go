package mcpserver

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// resuming is a server that ends the stream of each call after one event, and goes on with it
// on GET. What else comes on GET is the session's own stream, which it does not offer.
func resuming(first string, rest func(w http.ResponseWriter, last, id string)) *script {
	var call atomic.Value
	return &script{
		answer: func(w http.ResponseWriter, r received) {
			call.Store(r.id)
			answerEvents(w, first)
		},
		get: func(w http.ResponseWriter, r *http.Request) {
			last := r.Header.Get("Last-Event-Id")
			if last == "" || r.Header.Get("Mcp-Session-Id") != "session-1" {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			rest(w, last, call.Load().(string))
		},
	}
}

func TestCorner5_17_StreamThatIsCutIsResumed(t *testing.T) {
	t.Parallel()
	const primed = "id: e1\nretry: 5\ndata: \n\n"
	progress := event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`)
	for name, h := range map[string]*script{
		"after priming": resuming(primed, func(w http.ResponseWriter, _, id string) {
			answerEvents(w, "id: e2\n"+event(result(id, `{"ok":true}`)))
		}),
		"after a message": resuming("retry: 5\nid: e1\n"+progress, func(w http.ResponseWriter, _, id string) {
			answerEvents(w, event(result(id, `{"ok":true}`)))
		}),
		"polled": resuming(primed, func(w http.ResponseWriter, last, id string) {
			switch last {
			case "e1":
				answerEvents(w, "id: e2\ndata: \n\n")
			case "e2":
				answerEvents(w, "id: e3\n"+progress)
			default:
				answerEvents(w, event(result(id, `{"ok":true}`)))
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, h))
			a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"me"`, "x", `{}`)))
			if textOf(a.response) != `{"jsonrpc":"2.0","id":"me","result":{"ok":true}}` {
				t.Error(textOf(a.response))
			}
			if n := len(h.find("POST", mcp.ToolsCall)); n != 1 {
				t.Errorf("the call was made %d times", n)
			}
		})
	}
}

func TestCorner5_17_StreamThatCannotBeResumed(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*script{
		"no event id": resuming("data: \n\n", func(http.ResponseWriter, string, string) {}),
		"forgotten": resuming("retry: 1\nid: e1\ndata: \n\n", func(w http.ResponseWriter, _, _ string) {
			w.WriteHeader(http.StatusNotFound)
		}),
		"fails and is then forgotten": resuming("retry: 1\nid: e1\ndata: \n\n", func() func(w http.ResponseWriter, _, _ string) {
			var failed atomic.Bool
			return func(w http.ResponseWriter, _, _ string) {
				if failed.Swap(true) {
					w.WriteHeader(http.StatusNotFound)
				} else {
					w.WriteHeader(http.StatusBadGateway)
				}
			}
		}()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, h))
			mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamDown)
			if n := len(h.find("POST", mcp.ToolsCall)); n != 1 {
				t.Errorf("the call was made %d times", n)
			}
		})
	}
}

func TestModernStreamIsNotResumed(t *testing.T) {
	t.Parallel()
	h := resuming("retry: 1\nid: e1\ndata: \n\n", func(http.ResponseWriter, string, string) {})
	h.discover = discovered
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, modernClient(), modernToolCall("1", "x", `{}`)), rpc.UpstreamDown)
	if n := len(h.find("GET", "")); n != 0 {
		t.Errorf("%d GETs", n)
	}
}

func TestCorner5_17_TimeToWaitBeforeResuming(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		at    place
		wants []time.Duration
	}{
		{"by default", place{}, []time.Duration{resumeFirst, 2 * resumeFirst, 4 * resumeFirst}},
		{"as the server wants", place{retry: 10 * time.Millisecond}, []time.Duration{10 * time.Millisecond, 2 * resumeFirst}},
		{"for long", place{retry: time.Minute}, []time.Duration{time.Minute, time.Minute}},
		{"with a bound", place{tries: 40}, []time.Duration{resumeLast}},
	} {
		for i, want := range test.wants {
			if got := test.at.pause(resumeFirst); got != want {
				t.Errorf("%s, attempt %d: %v, want %v", test.name, i, got, want)
			}
		}
	}
}

func TestEventStreamOfASessionIsResumed(t *testing.T) {
	t.Parallel()
	places := make(chan string, 9)
	h := &script{
		answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
		get: func(w http.ResponseWriter, r *http.Request) {
			last := r.Header.Get("Last-Event-Id")
			places <- last
			switch last {
			case "":
				answerEvents(w, "retry: 1\nid: a\n"+event(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`))
			case "a":
				answerEvents(w, "id: b\n"+event(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`))
			case "b":
				w.WriteHeader(http.StatusBadRequest) // forgotten: the stream begins anew
			}
			if last == "" && len(places) > 3 {
				<-r.Context().Done()
			}
		},
	}
	s := newServer(t, remote(t, h))
	heard := make(chan string, 99)
	s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	for _, want := range []string{mcp.PromptsChanged, mcp.ResourcesChanged, mcp.ToolsChanged} {
		if got := <-heard; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	for _, want := range []string{"", "a", "b", ""} {
		if got := <-places; got != want {
			t.Errorf("resumed from %q, want %q", got, want)
		}
	}
}
