package mcpserver

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestSessionThatEnded(t *testing.T) {
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

func TestSessionThatAlwaysEnds(t *testing.T) {
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

func TestEventStreamOfASession(t *testing.T) {
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

func TestResponseOnTheSessionsStream(t *testing.T) {
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
