package edge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Corner case 5.26 on connections that carry many messages.

// party is a client of such a connection.
type party struct {
	say  func(string)
	hear func() string
}

// parties are the ways to connect.
var parties = map[string]func(*gate) party{
	"pipes": func(g *gate) party {
		say, hear, _ := g.lines(g.tb.Context())
		return party{say, hear}
	},
	"WebSocket": func(g *gate) party {
		c := g.socket()
		return party{c.say, c.hear}
	},
	"HTTP+SSE": func(g *gate) party {
		o := g.older("/sse")
		return party{func(text string) { o.say(text) }, o.hear}
	},
}

// eachParty runs a test over each kind of connection, in a session of a revision.
func eachParty(t *testing.T, s setup, revision string, test func(t *testing.T, g *gate, p party)) {
	t.Helper()
	for name, connect := range parties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, s)
			p := connect(g)
			p.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + revision + `","capabilities":{"elicitation":{}}}}`)
			if got := p.hear(); !strings.Contains(got, revision) {
				t.Fatalf("initialize: %s", got)
			}
			test(t, g, p)
		})
	}
}

func TestCorner5_26_DialogueBatchAnswersEachRequestOnce(t *testing.T) {
	t.Parallel()
	notice, stray := `{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":99,"result":{}}`
	tests := map[string]struct {
		batch []string
		want  map[string]string
	}{
		"requests":               {[]string{request("1", "ping"), request(`"a"`, "ping")}, map[string]string{"1": "result", `"a"`: "result"}},
		"with others":            {[]string{notice, stray, request("1", "ping")}, map[string]string{"1": "result"}},
		"items that are invalid": {[]string{"1", `{"jsonrpc":"1.0","method":"ping"}`, "[]", request("1", "ping")}, map[string]string{"null": "-32600,-32600,-32600", "1": "result"}},
		"initialize":             {[]string{request("1", "initialize"), request("2", "ping")}, map[string]string{"1": "-32600", "2": "result"}},
		"an id twice":            {[]string{request("1", "tools/call"), request("1", "ping"), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`}, map[string]string{"1": "-32600"}},
		"another era's method":   {[]string{request("1", "server/discover")}, map[string]string{"1": "-32601"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachParty(t, setup{handle: untilCancelled}, batchRevision, func(t *testing.T, _ *gate, p party) {
				p.say("[" + strings.Join(test.batch, ",") + "]")
				text := p.hear()
				if diff := cmp.Diff(test.want, outcomes(t, elements(t, text)...)); diff != "" {
					t.Errorf("responses (-want +got):\n%s\n%s", diff, text)
				}
			})
		})
	}
}

// untilCancelled answers everything but calls of tools.
func untilCancelled(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if c.Method.Name == mcp.ToolsCall {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
}

// What no request is in has no answer, and neither has what was cancelled: the next
// thing that is heard is about something else.
func TestCorner5_26_DialogueBatchCanHaveNoAnswer(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string]string{
		"notifications": `[{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":5,"result":{}}]`,
		"cancelled":     "[" + request("1", "tools/call") + `,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachParty(t, setup{handle: untilCancelled}, batchRevision, func(t *testing.T, _ *gate, p party) {
				p.say(batch)
				p.say(request("2", "ping"))
				if got := p.hear(); !strings.Contains(got, `"id":2`) {
					t.Errorf("heard %s", got)
				}
			})
		})
	}
}

func TestCorner5_26_DialogueBatchIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range refusedBatches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachParty(t, setup{}, test.revision, func(t *testing.T, _ *gate, p party) {
				p.say(test.body)
				text := p.hear()
				if f := failureOf(t, text); f.Error == nil || f.Error.Code != test.code || string(f.ID) != "null" {
					t.Errorf("heard %s, want code %d", text, test.code)
				}
			})
		})
	}
	t.Run("before a session", func(t *testing.T) {
		t.Parallel()
		c := open(t, setup{}).socket()
		c.say("[" + request("1", "ping") + "]")
		if got := codeOf(t, c.hear()); got != -32600 {
			t.Errorf("code %d", got)
		}
	})
}

// What is asked in the middle of a batch is heard at once, and may be answered by
// another one.
func TestCorner5_26_DialogueBatchIsAnsweredByABatch(t *testing.T) {
	t.Parallel()
	for name, connect := range parties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			messages, answers := make(chan *rpc.Message, 1), make(chan *rpc.Message, 1)
			g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
				return rpc.NewReply(play(ctx, messages, answers)), nil
			}})
			p := connect(g)
			p.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + batchRevision + `","capabilities":{}}}`)
			p.hear()
			messages <- rpc.NewRequest(rpc.NumberID(1), "sampling/createMessage", []byte(`{}`))
			p.say("[" + request("1", "tools/call") + "]")
			question, err := rpc.Parse([]byte(p.hear()), rpc.Limits{})
			if err != nil || question.Method != "sampling/createMessage" {
				t.Fatalf("question %v, %v", question, err)
			}
			p.say(`[{"jsonrpc":"2.0","id":` + question.ID.Raw() + `,"result":{"said":1}}]`)
			if a := <-answers; !strings.Contains(string(a.Result), "said") {
				t.Errorf("answer %s", a.AppendTo(nil))
			}
			messages <- rpc.NewResult(rpc.NumberID(1), []byte(`{}`))
			if diff := cmp.Diff(map[string]string{"1": "result"}, outcomes(t, elements(t, p.hear())...)); diff != "" {
				t.Errorf("responses (-want +got):\n%s", diff)
			}
		})
	}
}

// A gateway that ends lets a batch have its answer.
func TestCorner5_26_DialogueBatchIsAnsweredAtShutdown(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		close(begun)
		<-goOn
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	c := g.socket()
	c.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + batchRevision + `","capabilities":{}}}`)
	c.hear()
	c.say("[" + request("1", "tools/call") + "]")
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- g.handler.(*edge.Edge).Close(t.Context()) }()
	close(goOn)
	if diff := cmp.Diff(map[string]string{"1": "result"}, outcomes(t, elements(t, c.hear())...)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
