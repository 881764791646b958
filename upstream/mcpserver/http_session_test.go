package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_16_SessionThatEnded(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"404": func(w http.ResponseWriter) { http.Error(w, "session not found", 404) },
		"404 with an error": func(w http.ResponseWriter) {
			answerJSON(w, 404, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`)
		},
		"400 says session": func(w http.ResponseWriter) { http.Error(w, "Bad Request: No valid session ID provided", 400) },
		"400 with -32000": func(w http.ResponseWriter) {
			answerJSON(w, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Invalid Session"}}`)
		},
		"401": func(w http.ResponseWriter) { http.Error(w, "Session expired", http.StatusUnauthorized) },
		"200 with a bare error": func(w http.ResponseWriter) {
			answerJSON(w, 200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"unknown session"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sessions, valid := 0, ""
			h := &script{
				initial: func(w http.ResponseWriter, id string) {
					mu.Lock()
					defer mu.Unlock()
					sessions++
					valid = fmt.Sprint("session-", sessions)
					w.Header().Set("Mcp-Session-Id", valid)
					answerJSON(w, 200, initialized(id))
				},
				answer: func(w http.ResponseWriter, r received) {
					mu.Lock()
					defer mu.Unlock()
					if r.header.Get("Mcp-Session-Id") != valid {
						refuse(w)
						return
					}
					answerJSON(w, 200, result(r.id, `{"in":"`+valid+`"}`))
				},
			}
			s := newServer(t, remote(t, h))
			var changed []string
			s.OnNotice(func(m *rpc.Message) { changed = append(changed, m.Method) })
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			mu.Lock()
			valid = "gone"
			mu.Unlock()
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
					if err != nil {
						t.Error(err)
					} else if in, _ := a.response.Text("in"); in != "session-2" {
						t.Errorf("answered in %s", in)
					}
				})
			}
			all.Wait()
			mu.Lock()
			defer mu.Unlock()
			if sessions != 2 {
				t.Errorf("%d sessions", sessions)
			}
			if !slices.Equal(changed, []string{mcp.ToolsChanged}) {
				t.Errorf("heard %v", changed)
			}
		})
	}
}

func TestCorner5_16_SessionThatAlwaysEnds(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, _ received) { http.Error(w, "no such session", 404) }}
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if n := len(h.find("POST", "tools/call")); n != 2 {
		t.Errorf("tried %d times", n)
	}
}

func TestServersWithoutSessions(t *testing.T) {
	t.Parallel()
	h := &script{
		initial: func(w http.ResponseWriter, id string) { answerJSON(w, 200, initialized(id)) },
		answer:  func(w http.ResponseWriter, _ received) { http.Error(w, "not found", 404) },
	}
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if n := len(h.find("POST", "tools/call")); n != 1 {
		t.Errorf("tried %d times", n)
	}
	_ = s.Close(t.Context())
	if n := len(h.find("DELETE", "")); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestCorner5_16_EventStreamOfASession(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := 0
	cut := make(chan struct{})
	h := &script{
		answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
		get: func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			opened++
			n := opened
			mu.Unlock()
			if r.Header.Get("Mcp-Session-Id") != "session-1" || r.Header.Get("Accept") == "" {
				w.WriteHeader(400)
				return
			}
			answerEvents(w, "retry: 10\n\n")
			if n == 1 {
				answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`), event(`{"jsonrpc":"2.0","id":9,"method":"ping"}`))
				<-cut
				return
			}
			<-r.Context().Done()
		},
	}
	s := newServer(t, remote(t, h))
	heard := make(chan string, 9)
	s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	if m := <-heard; m != mcp.PromptsChanged {
		t.Error(m)
	}
	eventually(t, "the ping is answered", func() bool {
		return slices.ContainsFunc(h.find("POST", ""), func(r received) bool { return r.body == `{"jsonrpc":"2.0","id":9,"result":{}}` })
	})
	close(cut)
	if m := <-heard; m != mcp.ToolsChanged {
		t.Errorf("after the stream was cut: %s", m)
	}
}

func TestCorner5_17_ResponseOnTheSessionsStream(t *testing.T) {
	t.Parallel()
	ready, pending := make(chan struct{}), make(chan string, 1)
	h := &script{
		answer: func(w http.ResponseWriter, r received) {
			<-ready
			pending <- r.id
			w.WriteHeader(http.StatusAccepted)
		},
		get: func(w http.ResponseWriter, r *http.Request) {
			answerEvents(w, ": open\n\n")
			close(ready)
			select {
			case id := <-pending:
				answerEvents(w, event(result(id, `{"late":true}`)))
			case <-r.Context().Done():
			}
			<-r.Context().Done()
		},
	}
	a := mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(), toolCall(`"me"`, "x", `{}`)))
	if textOf(a.response) != `{"jsonrpc":"2.0","id":"me","result":{"late":true}}` {
		t.Error(textOf(a.response))
	}
}

func TestClientNotificationsArePassedOn(t *testing.T) {
	t.Parallel()
	h := &script{}
	for name, cfg := range map[string]config.Upstream{"http": remote(t, h), "stdio": scripted("legacy")} {
		s := newServer(t, cfg)
		a, err := run(t.Context(), s, newCall(t, legacyClient(), `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"n":1.0}}`))
		if err != nil || a.response != nil || a.before != nil {
			t.Errorf("%s: %v %v", name, a, err)
		}
	}
	if got := h.find("POST", "notifications/vendor"); len(got) != 1 || got[0].body != `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"n":1.0}}` {
		t.Errorf("%v", got)
	}
}

func TestServerThatNamesLegacyRevisionsAndOpensNoSessions(t *testing.T) {
	t.Parallel()
	for name, initial := range map[string]func(w http.ResponseWriter, id string){
		"plain 400": func(w http.ResponseWriter, _ string) { http.Error(w, "no", 400) },
		"method not found": func(w http.ResponseWriter, id string) {
			answerJSON(w, 404, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32601,"message":"m"}}`)
		},
		"unknown version": func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"protocolVersion":"1999-01-01"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &script{
				discover: func(w http.ResponseWriter, id string) {
					answerJSON(w, 200, result(id, `{"supportedVersions":["2026-07-28","2025-11-25"]}`))
				},
				initial: initial,
				answer:  func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
			}
			s := newServer(t, remote(t, h))
			for range 2 {
				if a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); a.revision != mcp.LatestModern {
					t.Error(a.revision)
				}
			}
			if n := len(h.find("POST", "initialize")); n != 1 {
				t.Errorf("initialize was tried %d times", n)
			}
		})
	}
}

func TestModernServerIsAskedAgainWhoItIs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answers := []string{`"first"`, `"second"`}
	h := &script{discover: func(w http.ResponseWriter, id string) {
		mu.Lock()
		defer mu.Unlock()
		if len(answers) == 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		answerJSON(w, 200, result(id, `{"supportedVersions":["2026-07-28"],"instructions":`+answers[0]+`}`))
		answers = answers[1:]
	}}
	s := newServer(t, remote(t, h))
	for _, want := range []string{"first", "first", "old", "second", "old", "second"} {
		if want == "old" {
			s.links.open[linkKey{era: rpc.Modern}].link.(*modernHTTP).about.Load().at = time.Now().Add(-2 * describeLife)
			continue
		}
		if d, err := s.Describe(t.Context()); err != nil || d.Instructions != want {
			t.Errorf("%q %v, want %q", d.Instructions, err, want)
		}
	}
}

func TestCallerThatLeavesDuringTheHandshakeTeachesNothing(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	h := &script{
		discover: func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"supportedVersions":["2026-07-28","2025-11-25"]}`))
		},
		initial: func(w http.ResponseWriter, id string) {
			begun <- struct{}{}
			<-goOn
			answerJSON(w, 200, initialized(id))
		},
		answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
	}
	s := newServer(t, remote(t, h))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := run(ctx, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(goOn)
	if a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); a.revision != "2025-06-18" {
		t.Error(a.revision)
	}
	if n := len(h.find("POST", "initialize")); n != 1 {
		t.Errorf("initialize was sent %d times", n)
	}
}

func TestServerThatIsReplacedByAModernOne(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	modern := false
	h := &script{
		discover: func(w http.ResponseWriter, id string) {
			mu.Lock()
			defer mu.Unlock()
			if modern {
				discovered(w, id)
			} else {
				http.Error(w, "no", 400)
			}
		},
		initial: func(w http.ResponseWriter, id string) {
			mu.Lock()
			defer mu.Unlock()
			if modern {
				answerJSON(w, 400, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32602,"message":"_meta is missing"}}`)
				return
			}
			w.Header().Set("Mcp-Session-Id", "1")
			answerJSON(w, 200, initialized(id))
		},
		answer: func(w http.ResponseWriter, r received) {
			mu.Lock()
			defer mu.Unlock()
			if modern && r.header.Get("Mcp-Session-Id") != "" {
				http.NotFound(w, nil)
				return
			}
			answerJSON(w, 200, result(r.id, `{}`))
		},
	}
	s := newServer(t, remote(t, h))
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	mu.Lock()
	modern = true
	mu.Unlock()
	if a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); a.revision != mcp.LatestModern {
		t.Error(a.revision)
	}
}
