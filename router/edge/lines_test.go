package edge_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// lines starts a conversation over pipes.
func (g *gate) lines(ctx context.Context) (say func(string), hear func() string, hangUp func() error) {
	g.tb.Helper()
	inside, out := io.Pipe()
	in, outside := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := g.handler.(*edge.Edge).ServeLines(ctx, "/mcp", inside, outside)
		_ = outside.Close()
		ended <- err
	}()
	g.tb.Cleanup(func() { _ = out.Close() })
	answers := bufio.NewReader(in)
	say = func(text string) {
		g.tb.Helper()
		if _, err := io.WriteString(out, text+"\n"); err != nil {
			g.tb.Fatal(err)
		}
	}
	hear = func() string {
		g.tb.Helper()
		text, err := answers.ReadString('\n')
		if err != nil {
			g.tb.Fatal(err)
		}
		return strings.TrimSuffix(text, "\n")
	}
	hangUp = func() error {
		_ = out.Close()
		_, _ = io.Copy(io.Discard, answers)
		return <-ended
	}
	return say, hear, hangUp
}

func TestLinesSpeakBothEras(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{Body: 1 << 10}, handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte("{\n\"era\":\""+c.Client.Era.String()+"\"}"))), nil
	}})
	say, hear, hangUp := g.lines(t.Context())
	for _, step := range []struct{ say, want string }{
		{modernly("1", "tools/list"), `{"jsonrpc":"2.0","id":1,"result":{ "era":"modern"}}`},
		{
			`{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`,
			`{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18"}}`,
		},
		{request("3", "tools/list"), `{"jsonrpc":"2.0","id":3,"result":{ "era":"legacy"}}`},
	} {
		say(step.say)
		if got := hear(); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.say, got, step.want)
		}
	}
	written := make(chan struct{})
	go func() { // it is answered before it has been read to its end
		defer close(written)
		say(strings.Repeat("x", 5000))
	}()
	if got := codeOf(t, hear()); got != mcp.CodeTooLarge {
		t.Errorf("a line that is too long: code %d", got)
	}
	<-written
	g.sessions.Broadcast(func(string) bool { return true }, rpc.NewNotification(mcp.ToolsChanged, nil))
	if got := hear(); !strings.Contains(got, mcp.ToolsChanged) {
		t.Errorf("heard %s", got)
	}
	if err := hangUp(); err != nil {
		t.Error(err)
	}
}

// The handshake is the one request that cannot be cancelled (MCP 2025-11-25, Cancellation).
func TestCorner5_19_InitializeIsNotCancelled(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	g := open(t, setup{refuse: func(c *rpc.Call) error {
		if c.Method.Name == mcp.Initialize {
			close(begun)
			<-goOn
		}
		return nil
	}})
	say, hear, hangUp := g.lines(t.Context())
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	<-begun
	said := make(chan struct{})
	go func() {
		defer close(said)
		say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		say(request("2", "tools/list"))
	}()
	close(goOn)
	for _, want := range []string{`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`, `{"jsonrpc":"2.0","id":2,"result":{"ok":true}}`} {
		if got := hear(); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	<-said
	if err := hangUp(); err != nil {
		t.Error(err)
	}
}

// What was asked before the client closed its side is answered.
func TestLinesAnswerWhatWasAskedLast(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	var out strings.Builder
	in := strings.NewReader(modernly("1", "tools/list") + "\n" + modernly("2", "tools/list"))
	if err := g.handler.(*edge.Edge).ServeLines(t.Context(), "/mcp", in, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `"result":{"ok":true}`); n != 2 {
		t.Errorf("%d answers, want 2: %s", n, out.String())
	}
}

func TestLinesEndWithTheirContext(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		close(begun)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	say, _, hangUp := g.lines(ctx)
	say(modernly("1", "tools/list"))
	<-begun
	cancel()
	if err := hangUp(); err == nil {
		t.Error("no error says why it ended")
	}
}
