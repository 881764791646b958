package mcpserver

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_16_ANewSessionIsToldTheLevelAgain(t *testing.T) {
	t.Parallel()
	h, forget := forgetful(func(w http.ResponseWriter, _ received) { http.Error(w, "session not found", http.StatusNotFound) })
	initial := h.initial
	h.initial = func(w http.ResponseWriter, id string) {
		initial(logging{w}, id)
	}
	s := newServer(t, remote(t, h))
	client := legacyClient()
	client.LogLevel = "warning"
	for range 2 {
		mustRun(t, s, newCall(t, client, toolCall("1", "x", `{}`)))
		forget()
	}
	mustRun(t, s, newCall(t, client, toolCall("1", "x", `{}`)))
	told := map[string]int{}
	for _, r := range h.find("POST", "logging/setLevel") {
		if strings.Contains(r.body, `"level":"warning"`) {
			told[r.header.Get("Mcp-Session-Id")]++
		}
	}
	if told["ss"] != 1 {
		t.Errorf("sessions were told the level so often: %v", told)
	}
}

// logging writes the handshake of a server that has a log.
type logging struct{ http.ResponseWriter }

func (l logging) Write(p []byte) (int, error) {
	text := strings.Replace(string(p), `"tools":{}`, `"tools":{},"logging":{}`, 1)
	if _, err := l.ResponseWriter.Write([]byte(text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// How a server says that a session has no stream of its own is not how it says that
// the session has ended.
func TestCorner5_16_ServersWithoutAStream(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusOK} {
		var asked atomic.Int32
		h := &script{
			answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
			get:    func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(status) },
		}
		s := newServer(t, remote(t, h))
		for range 2 {
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			eventually(t, "the stream is asked for", func() bool { return asked.Load() > 0 })
		}
		if n := len(h.find("POST", mcp.Initialize)); n != 1 {
			t.Errorf("status %d: %d sessions", status, n)
		}
	}
}

// A call is told of its own progress, and of none once it is answered.
func TestCorner5_2_ProgressOfOtherCallsIsDropped(t *testing.T) {
	t.Parallel()
	const note = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`
	for era, discover := range map[string]func(http.ResponseWriter, string){"legacy": nil, "modern": discovered} {
		h := &script{discover: discover, answer: func(w http.ResponseWriter, r received) {
			answerEvents(
				w, event(fmt.Sprintf(note, `999`, 1)), event(fmt.Sprintf(note, `"`+r.token+`"`, 2)), event(fmt.Sprintf(note, `null`, 3)),
				event(`{"jsonrpc":"2.0","method":"notifications/progress"}`),
				event(result(r.id, `{}`)), event(fmt.Sprintf(note, r.token, 4)),
			)
		}}
		a := mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"mine"}}}`))
		if len(a.before) != 1 || !strings.Contains(textOf(a.before[0]), `"progressToken":"mine","progress":2`) {
			t.Errorf("%s: %d notifications, the first %s", era, len(a.before), first(a.before))
		}
	}
}

func first(messages []*rpc.Message) string {
	if len(messages) == 0 {
		return "missing"
	}
	return textOf(messages[0])
}
