package mcpserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const visitedPage = `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e1"}}`

// Over HTTP the server says on the session's stream that a page was visited. A call that
// is in flight for the client carries it; between calls the session is told, and nobody
// where the connection is shared or the client has no session.
func TestVisitedPages(t *testing.T) {
	t.Parallel()
	canVisit := []byte(`{"elicitation":{"url":{}}}`)
	modern, legacy := modernClient(), asking("s7")
	modern.Capabilities, legacy.Capabilities = canVisit, canVisit
	for name, tt := range map[string]struct {
		client rpc.Client
		call   bool   // there is one in flight
		told   string // the session that is told
	}{
		"a legacy client's call":        {legacy, true, ""},
		"a modern client's call":        {modern, true, ""},
		"a legacy client between calls": {legacy, false, "s7"},
		"a modern client between calls": {modern, false, ""},
		"clients that share":            {legacyClient(), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finish := make(chan struct{})
			h, tell := teller(finish)
			s := newServer(t, remote(t, h))
			told, noticed := make(chan string, 9), make(chan string, 9)
			s.OnVisited(func(session string, m *rpc.Message) { told <- session + " " + textOf(m) })
			s.OnNotice(func(m *rpc.Message) { noticed <- m.Method })
			mustRun(t, s, newCall(t, tt.client, toolCall("1", "x", `{}`)))
			if tt.call {
				reply, err := s.Handle(t.Context(), newCall(t, tt.client, toolCall("2", "waits", `{}`)))
				if err != nil {
					t.Fatal(err)
				}
				defer reply.Close()
				tell <- visitedPage
				if m, err := reply.Next(); err != nil || textOf(m) != visitedPage {
					t.Errorf("the call was told %v, %v", m, err)
				}
				close(finish)
				if m, err := reply.Next(); err != nil || !m.IsResponse() {
					t.Errorf("the call was answered with %v, %v", m, err)
				}
			} else {
				tell <- visitedPage
			}
			tell <- `{"jsonrpc":"2.0","method":"` + mcp.ToolsChanged + `"}`
			<-noticed // and the page was heard of before
			close(told)
			want := ""
			if tt.told != "" {
				want = tt.told + " " + visitedPage
			}
			if got := <-told; got != want || len(told) > 0 {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

// teller is a server that says on the stream of its sessions what it is told to say, one of
// whose tools waits to be finished.
func teller(finish <-chan struct{}) (*script, chan<- string) {
	say := make(chan string)
	return &script{
		answer: func(w http.ResponseWriter, r received) {
			answerEvents(w, ": open\n\n")
			if strings.Contains(r.body, `"waits"`) {
				<-finish
			}
			answerEvents(w, event(result(r.id, `{}`)))
		},
		get: func(w http.ResponseWriter, r *http.Request) {
			answerEvents(w, ": open\n\n")
			for {
				select {
				case text := <-say:
					answerEvents(w, event(text))
				case <-r.Context().Done():
					return
				}
			}
		},
	}, say
}
