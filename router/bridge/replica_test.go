package bridge

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// replicas are two bridges of one gateway: they share the keys and nothing else.
func replicas(t *testing.T) (a, b *parking) {
	t.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	var both [2]*parking
	for i := range both {
		both[i] = newParking(t, Config{})
		both[i].bridge = New(Config{}, keys, slog.New(slog.DiscardHandler))
		t.Cleanup(func() { _ = both[i].bridge.Close(t.Context()) })
	}
	return both[0], both[1]
}

// A parked call is where it is. Another replica says so, and neither makes the call again nor ends it.
func TestCorner5_31_ACallIsParkedOnOneReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := replicas(t)
		reply, err := a.request(t, t.Context(), `1`, ``)
		call := <-a.server.calls
		call.say(t, askName)
		_, first := outcome(t, reply, err)
		retry := `,"inputResponses":{"q1":{"action":"accept"}},"requestState":` + stateOf(t, first)
		reply, err = b.request(t, t.Context(), `2`, retry)
		if _, got := outcome(t, reply, err); !strings.Contains(got, `"isError":true`) || !strings.Contains(got, "expired") {
			t.Errorf("the other replica says %s", got)
		}
		if len(b.server.calls) != 0 || call.heard() != "" {
			t.Errorf("%d calls on the other replica; the server heard %q", len(b.server.calls), call.heard())
		}
		reply, err = a.request(t, t.Context(), `3`, retry)
		call.say(t, done)
		if _, got := outcome(t, reply, err); !strings.Contains(got, `"content":[]`) {
			t.Errorf("its own replica says %s", got)
		}
	})
}

// What a state carries itself goes on anywhere.
func TestCorner5_31_StatesOfServersAreGoodOnEveryReplica(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	server := &rounds{answers: []string{
		`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"server's own"}}`, complete,
	}}
	call := func(p *parking, more string) (*rpc.Reply, error) {
		c := callOf(t, mcp.LatestModern, everything, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"`+more+`}}`)
		return p.bridge.Cross(server).Handle(t.Context(), c)
	}
	reply, err := call(a, ``)
	_, first := outcome(t, reply, err)
	reply, err = call(b, `,"requestState":`+stateOf(t, first))
	outcome(t, reply, err)
	if !strings.HasSuffix(server.heard[1], `"requestState":"server's own"}}`) {
		t.Errorf("the server heard %s", server.heard[1])
	}
}
