package edge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// A subscription that the gateway ends has its result, then a cancellation, on
// connections of many messages; its result alone over HTTP, where the stream's end says
// the same. Other requests, and subscriptions that never were, are not cancelled.
func TestSubscriptionsAreTornDown(t *testing.T) {
	t.Parallel()
	answer := func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch c.Message.ID.Raw() {
		case `"refused"`:
			return nil, rpc.Errorf(rpc.InvalidParams, "no such filter")
		case `"answered so"`:
			return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: -32602, Message: "no"})), nil
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"resultType":"complete"}`))), nil
	}
	eachParty(t, setup{handle: answer}, legacyRevision, func(t *testing.T, g *gate, p party) {
		for _, step := range []struct {
			say  string
			hear []string
		}{
			{modernly(`"s"`, mcp.Listen), []string{`"id":"s","result"`, `"method":"notifications/cancelled","params":{"requestId":"s"`}},
			{modernly(`"refused"`, mcp.Listen), []string{`"id":"refused","error"`}},
			{modernly(`"answered so"`, mcp.Listen), []string{`"id":"answered so","error"`}},
			{modernly(`"t"`, mcp.ToolsList), []string{`"id":"t","result"`}},
			{request("1", "tools/list"), []string{`"id":1,"result"`}},
		} {
			p.say(step.say)
			for _, want := range step.hear {
				if got := p.hear(); !strings.Contains(got, want) {
					t.Errorf("%s\n got %s\nwant %s", step.say, got, want)
				}
			}
		}
		g.sessions.Broadcast(everywhere, changed("tools"))
		if got := p.hear(); !strings.Contains(got, "tools/list_changed") {
			t.Errorf("the session's own stream: %s", got)
		}
	})
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		body, header := modern("1", mcp.Listen, "")
		a := open(t, setup{handle: answer}).do("POST", body, header...)
		if a.status != http.StatusOK || strings.Contains(a.body, mcp.Cancelled) {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// Of a subscription that the client cancelled nothing more is heard.
func TestSubscriptionsThatWereCancelledEndInSilence(t *testing.T) {
	t.Parallel()
	eachParty(t, setup{handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Name == mcp.Listen {
			<-ctx.Done()
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}}, legacyRevision, func(t *testing.T, _ *gate, p party) {
		p.say(modernly(`"s"`, mcp.Listen))
		p.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s"}}`)
		p.say(request("1", "ping"))
		if got := p.hear(); !strings.Contains(got, `"id":1`) {
			t.Errorf("heard %s", got)
		}
	})
}
