package mcpserver

import (
	"testing"

	"github.com/headgate/headgate/rpc"
)

// A client that does not read holds up nobody with whom it shares a connection. It loses
// what is told in between, and not its answer.
func TestCorner5_17_WhoDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	slow, err := s.Handle(t.Context(), newCall(t, legacyClient(),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood","_meta":{"progressToken":"p"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	for range 3 {
		mustRun(t, s, newCall(t, legacyClient(), toolCall("2", "raw", `{}`)))
	}
	l := s.links.find(linkKey{era: rpc.Legacy})
	eventually(t, "all is said", func() bool { return !l.busy() })
	told := 0
	for {
		m, err := slow.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m.IsResponse() {
			if string(m.Result) != `{"ok":true}` {
				t.Error(textOf(m))
			}
			break
		}
		told++
	}
	if told == 0 || told > maxWaiting {
		t.Errorf("told of %d steps, want at most %d", told, maxWaiting)
	}
}
