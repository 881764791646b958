package mcpserver

import (
	"net/http"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// errorOf is an error response with a code, or nil for none.
func errorOf(code int64) *rpc.Message {
	if code == 0 {
		return nil
	}
	return rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: code, Message: "m"})
}

func TestAnswersThatSayTheLinkIsStale(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status  int
		code    int64
		body    string
		session sessionDoubt
		eras    bool
	}{
		{http.StatusNotFound, 0, "", sessionGone, true},
		{http.StatusNotFound, -32001, "", sessionGone, true},
		{http.StatusNotFound, -32601, "", noDoubt, false},
		{http.StatusNotFound, -32602, "session", noDoubt, false},
		{http.StatusBadRequest, 0, "No valid Session", sessionGone, true},
		{http.StatusBadRequest, 0, "Bad Request", noDoubt, true},
		{http.StatusBadRequest, -32000, "Bad Request: Server not initialized", sessionGone, true},
		{http.StatusBadRequest, -32600, "", noDoubt, true},
		{http.StatusBadRequest, -32700, "", noDoubt, true},
		{http.StatusBadRequest, -32602, "unknown tool: session", noDoubt, false},
		{http.StatusBadRequest, -32020, "", noDoubt, false},
		{http.StatusBadRequest, -32022, "", noDoubt, true},
		{http.StatusOK, -32022, "", noDoubt, true},
		{http.StatusOK, -32000, "session", suspect, false},
		{http.StatusMethodNotAllowed, 0, "", noDoubt, true},
		{http.StatusInternalServerError, 0, "session", suspect, false},
		{http.StatusUnauthorized, 0, "session", suspect, false},
		{http.StatusTooManyRequests, 0, "", noDoubt, false},
	} {
		m := errorOf(test.code)
		if got := judgeSession(test.status, []byte(test.body), m); got != test.session {
			t.Errorf("%d %d %q: doubt about the session: %v", test.status, test.code, test.body, got)
		}
		if got := eraLost(test.status, m); got != test.eras {
			t.Errorf("%d %d: era lost: %v", test.status, test.code, got)
		}
	}
}

func TestWordsOfStatus(t *testing.T) {
	t.Parallel()
	for s, want := range map[Status]string{Connecting: "connecting", Up: "up", Down: "down", Disabled: "disabled"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
}
