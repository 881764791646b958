package bridge

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// A state is the client's to keep and anybody's to change. None but the very one, from whom it was given to, for the call
// it was given for, in its time, reaches the server; and that one does.
func TestT5_TamperedStatesReachNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rounds{answers: []string{
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}},"requestState":"own"}}`,
			complete,
		}}
		b := newBridge(t, Config{})
		call := func(user, tool, more string) (*rpc.Reply, error) {
			c := callOf(t, mcp.LatestModern, everything, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"`+more+`}}`)
			c.Principal.User, c.Target.Own = user, tool
			return b.Cross(s).Handle(t.Context(), c)
		}
		reply, err := call("a", "t", ``)
		_, first := outcome(t, reply, err)
		state := stateOf(t, first)
		with := func(state string) string { return `,"inputResponses":{"k":{"roots":[]}},"requestState":` + state }
		refused := func(what string, err error) {
			t.Helper()
			if rpc.AsError(err).Code != rpc.InvalidParams {
				t.Errorf("%s: %v", what, err)
			}
		}
		var text string
		if err := json.Unmarshal([]byte(state), &text); err != nil {
			t.Fatal(err)
		}
		for i := range text {
			for bit := range 7 {
				flipped := []byte(text)
				flipped[i] ^= 1 << bit
				quoted, err := json.Marshal(string(flipped))
				if err != nil {
					t.Fatal(err)
				}
				_, err = call("a", "t", with(string(quoted)))
				refused("a flipped bit", err)
			}
		}
		_, err = call("b", "t", with(state))
		refused("another principal", err)
		_, err = call("a", "u", with(state))
		refused("another tool", err)
		if len(s.heard) != 1 {
			t.Errorf("the server heard %q", s.heard)
		}
		reply, err = call("a", "t", with(state))
		outcome(t, reply, err)
		if len(s.heard) != 2 {
			t.Errorf("the state itself did not reach the server: %q", s.heard)
		}
		time.Sleep(stateLife + time.Second)
		_, err = call("a", "t", with(state))
		refused("an expired one", err)
	})
}
