package mcpserver

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// forgetful is a server that forgets its first session, and then answers in the way of refuse
// whatever is asked in it.
func forgetful(refuse func(w http.ResponseWriter, r received)) (h *script, forget func()) {
	var sessions, gone atomic.Int32
	h = &script{
		initial: func(w http.ResponseWriter, id string) {
			sessions.Add(1)
			w.Header().Set("Mcp-Session-Id", strings.Repeat("s", int(sessions.Load())))
			answerJSON(w, 200, initialized(id))
		},
		answer: func(w http.ResponseWriter, r received) {
			if len(r.header.Get("Mcp-Session-Id")) <= int(gone.Load()) {
				refuse(w, r)
				return
			}
			answerJSON(w, 200, result(r.id, `{}`))
		},
	}
	return h, func() { gone.Store(1) }
}

func TestCorner5_16_SessionThatMayHaveEndedInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(w http.ResponseWriter, r received){
		"500": func(w http.ResponseWriter, _ received) { http.Error(w, "KeyError: session", 500) },
		"an error with the call's id": func(w http.ResponseWriter, r received) {
			answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32000,"message":"no such session"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, forget := forgetful(refuse)
			s := newServer(t, remote(t, h))
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			forget()
			a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("2", "x", `{}`)))
			if err == nil && a.response.Err == nil {
				t.Error("the call was made a second time, and may have run before")
			}
			mustRun(t, s, newCall(t, legacyClient(), toolCall("3", "x", `{}`)))
			if calls, opened := len(h.find("POST", mcp.ToolsCall)), len(h.find("POST", mcp.Initialize)); calls != 3 || opened != 2 {
				t.Errorf("%d calls in %d sessions", calls, opened)
			}
		})
		t.Run(name+" on a list", func(t *testing.T) {
			t.Parallel()
			h, forget := forgetful(refuse)
			s := newServer(t, remote(t, h))
			list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
			mustRun(t, s, newCall(t, legacyClient(), list))
			forget()
			if a := mustRun(t, s, newCall(t, legacyClient(), list)); a.response.Err != nil {
				t.Errorf("the client saw %s", textOf(a.response))
			}
		})
	}
}

func TestCorner5_16_ErrorThatSpeaksOfASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, r received) {
		if r.method == mcp.Ping {
			answerJSON(w, 200, result(r.id, `{}`))
			return
		}
		answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32000,"message":"browser session expired"}}`)
	}}
	s := newServer(t, remote(t, h))
	for range 2 {
		a := mustRun(t, s, newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		if a.response.Err == nil || a.response.Err.Message != "browser session expired" {
			t.Errorf("the client saw %s", textOf(a.response))
		}
	}
	if n := len(h.find("POST", mcp.Initialize)); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestUpstreamSessionsAreDeletedWithTheClients(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) }}
	s := newServer(t, remote(t, h))
	mustRun(t, s, newCall(t, asking("a"), toolCall("1", "x", `{}`)))
	s.EndSession("a")
	eventually(t, "the session is deleted", func() bool {
		ended := h.find("DELETE", "")
		return len(ended) == 1 && ended[0].header.Get("Mcp-Session-Id") == "session-1" && ended[0].header.Get(mcp.HeaderVersion) == "2025-06-18"
	})
}

func TestSessionOfAHandshakeThatFailedIsDeleted(t *testing.T) {
	t.Parallel()
	h := &script{initial: func(w http.ResponseWriter, id string) {
		w.Header().Set("Mcp-Session-Id", "half")
		answerJSON(w, 200, result(id, `{"protocolVersion":"1999-01-01"}`))
	}}
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	eventually(t, "the session is deleted", func() bool {
		ended := h.find("DELETE", "")
		return len(ended) >= 1 && ended[0].header.Get("Mcp-Session-Id") == "half"
	})
}
