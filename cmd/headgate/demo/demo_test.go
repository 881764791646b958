package demo_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/headgate/headgate/cmd/headgate/demo"
)

const (
	legacyRevision = "2025-11-25"
	modernRevision = "2026-07-28"
)

func TestMain(m *testing.M) {
	// After a body that was too large, net/http keeps the connection for half a second so that the client can read the answer.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// start starts the servers and returns their addresses by name.
func start(t *testing.T) map[string]string {
	t.Helper()
	servers, err := demo.Start(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	urls := map[string]string{}
	for _, u := range servers.Upstreams() {
		urls[u.Name] = u.URL
	}
	return urls
}

// connect connects a foreign client that asks for one revision.
func connect(t *testing.T, url, revision string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if got := session.InitializeResult().ProtocolVersion; got != revision {
		t.Fatalf("revision %s, want %s", got, revision)
	}
	return session
}

// text returns what a result says, in one string.
func text(t *testing.T, r *mcp.CallToolResult) string {
	t.Helper()
	var all []string
	for _, block := range r.Content {
		c, ok := block.(*mcp.TextContent)
		if !ok {
			t.Fatalf("content %T, want text", block)
		}
		all = append(all, c.Text)
	}
	return strings.Join(all, "\n")
}

func TestForeignClientListsAndCalls(t *testing.T) {
	t.Parallel()
	urls := start(t)
	tests := []struct {
		server, revision string
		tools            []string
		tool             string
		arguments        map[string]any
		want             string
	}{
		{"demo", legacyRevision, []string{"add", "divide", "echo"}, "add", map[string]any{"a": 2, "b": 3}, "5"},
		{"demo", "2025-06-18", []string{"add", "divide", "echo"}, "echo", map[string]any{"text": "héllo\n"}, "héllo\n"},
		{"clock", modernRevision, []string{"now", "wait"}, "wait", map[string]any{"ms": 0}, "waited 0 ms"},
		{"stream", modernRevision, []string{"count", "recite"}, "count", map[string]any{"to": 2, "pause_ms": 0}, "counted to 2"},
	}
	for _, tt := range tests {
		t.Run(tt.server+" "+tt.revision, func(t *testing.T) {
			t.Parallel()
			session := connect(t, urls[tt.server], tt.revision, nil)
			var names []string
			for tool, err := range session.Tools(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, tool.Name)
			}
			slices.Sort(names)
			if diff := cmp.Diff(tt.tools, names); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tt.tool, Arguments: tt.arguments})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, result); got != tt.want || result.IsError {
				t.Errorf("result %q, error %v, want %q", got, result.IsError, tt.want)
			}
		})
	}
}

func TestToolsComplainAboutArguments(t *testing.T) {
	t.Parallel()
	urls := start(t)
	tests := []struct {
		server, revision, tool string
		arguments              map[string]any
		want                   string
	}{
		{"demo", legacyRevision, "add", map[string]any{"a": 1}, "a and b are needed"},
		{"demo", legacyRevision, "add", nil, "a and b are needed"},
		{"demo", legacyRevision, "add", map[string]any{"a": "1", "b": 2}, "a must be a number, not string"},
		{"demo", legacyRevision, "add", map[string]any{"a": 1, "b": 2, "c": 3}, `unknown field "c"`},
		{"demo", legacyRevision, "divide", map[string]any{"a": 1, "b": 0}, "cannot divide by zero"},
		{"demo", legacyRevision, "echo", map[string]any{}, "text is needed"},
		{"clock", modernRevision, "wait", map[string]any{"ms": -1}, "from 0 to 30000"},
		{"clock", modernRevision, "wait", map[string]any{"ms": 1.5}, "ms must be an integer"},
		{"clock", modernRevision, "now", map[string]any{"zone": "UTC"}, `unknown field "zone"`},
		{"stream", modernRevision, "count", map[string]any{"to": 100_000}, "from 1 to 1000"},
		{"stream", modernRevision, "count", map[string]any{"to": 1, "pause_ms": 1e6}, "from 0 to 5000"},
		{"stream", modernRevision, "recite", map[string]any{}, "prompt must be a text"},
		{"stream", modernRevision, "recite", map[string]any{"prompt": "x", "max_tokens": 0}, "from 1 on"},
		{"stream", modernRevision, "recite", map[string]any{"prompt": strings.Repeat("x ", 1001)}, "1000 words at most"},
	}
	for _, tt := range tests {
		t.Run(tt.tool+" "+tt.want, func(t *testing.T) {
			t.Parallel()
			session := connect(t, urls[tt.server], tt.revision, nil)
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tt.tool, Arguments: tt.arguments})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, result); !result.IsError || !strings.Contains(got, tt.want) {
				t.Errorf("result %q, error %v, want an error with %q", got, result.IsError, tt.want)
			}
		})
	}
}

func TestCountReportsEachStep(t *testing.T) {
	t.Parallel()
	url := start(t)["stream"]
	steps := make(chan float64, 3)
	session := connect(t, url, modernRevision, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			if r.Params.Total != 3 {
				t.Errorf("total %v, want 3", r.Params.Total)
			}
			steps <- r.Params.Progress
		},
	})
	params := &mcp.CallToolParams{Name: "count", Arguments: map[string]any{"to": 3, "pause_ms": 1}}
	params.SetProgressToken("token")
	result, err := session.CallTool(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, result); got != "counted to 3" {
		t.Errorf("result %q", got)
	}
	for want := range 3 {
		if got := <-steps; got != float64(want+1) {
			t.Errorf("progress %v, want %d", got, want+1)
		}
	}
}

func TestClockTellsStructuredTime(t *testing.T) {
	t.Parallel()
	session := connect(t, start(t)["clock"], modernRevision, nil)
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "now"})
	if err != nil {
		t.Fatal(err)
	}
	now, ok := result.StructuredContent.(map[string]any)
	if !ok {
		t.Fatalf("structured content %T, want an object", result.StructuredContent)
	}
	if _, err := time.Parse(time.RFC3339, now["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWhenTheClientCancels(t *testing.T) {
	t.Parallel()
	session := connect(t, start(t)["clock"], modernRevision, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "wait", Arguments: map[string]any{"ms": 30_000}}); err == nil {
		t.Error("a cancelled call was answered")
	}
} // that nothing waits on is seen by goleak

func TestUnknownToolIsAProtocolError(t *testing.T) {
	t.Parallel()
	urls := start(t)
	for server, revision := range map[string]string{"demo": legacyRevision, "clock": modernRevision} {
		session := connect(t, urls[server], revision, nil)
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "nope"})
		if err == nil || !strings.Contains(err.Error(), "unknown tool") {
			t.Errorf("%s: error %v, want unknown tool", server, err)
		}
	}
}
