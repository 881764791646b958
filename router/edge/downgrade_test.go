package edge_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// What era a request is of is said once. One that says it differently in two places is refused and never taken for one of
// the other era, in which other checks hold.
func TestT22_NoRequestChangesItsEra(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		reached.Add(1)
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	session := g.sessionOf("2025-11-25")
	body, header := modern("7", "tools/list", "")
	legacy := request("7", "tools/list")
	before := reached.Load()
	for name, test := range map[string]struct {
		body   string
		header []string
	}{
		"modern in a session with its header":    {body, append([]string{"Mcp-Protocol-Version", "2025-11-25"}, session...)},
		"modern with a legacy header":            {body, []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Method", "tools/list"}},
		"modern without a header":                {body, []string{"Mcp-Method", "tools/list"}},
		"modern in an array":                     {"[" + body + "]", header},
		"modern in an array of a session":        {"[" + body + "]", session},
		"legacy with a modern header":            {legacy, header},
		"legacy in a session with modern header": {legacy, append(append([]string{}, header...), session...)},
		"modern, with a legacy version inside":   {strings.ReplaceAll(body, modernRevision, "2025-11-25"), header},
	} {
		a := g.do("POST", test.body, test.header...)
		if f := failureOf(t, a.body); a.status != 400 || f.Error == nil {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := reached.Load() - before; n != 0 {
		t.Errorf("%d reached a handler", n)
	}
}
