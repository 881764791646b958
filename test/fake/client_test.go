package fake_test

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
)

// The fake server is only worth something if a real client agrees with it, so these tests use one in both eras.

const patience = 20 * time.Second

// serve starts a server and returns its URL.
func serve(t *testing.T, config fake.Config) (*fake.Server, string) {
	t.Helper()
	server := fake.New(config)
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close()
		listener.CloseClientConnections()
		listener.Close()
	})
	return server, listener.URL + "/mcp"
}

func connect(ctx context.Context, t *testing.T, transport mcp.Transport, revision string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func eras() map[string]string {
	return map[string]string{"legacy": "2025-11-25", "modern": "2026-07-28"}
}

func texts(result *mcp.CallToolResult) []string {
	var got []string
	for _, block := range result.Content {
		if text, ok := block.(*mcp.TextContent); ok {
			got = append(got, text.Text)
		}
	}
	return got
}

func TestRealClientsListAndCall(t *testing.T) {
	t.Parallel()
	for era, revision := range eras() {
		for _, sse := range []bool{false, true} {
			t.Run(era, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				server, url := serve(t, fake.Config{SSE: sse, PageSize: 2, Tools: []fake.Tool{
					{Name: "a", Behaviour: fake.Echo}, {Name: "naïve name", Behaviour: fake.Echo}, {Name: "c", Behaviour: fake.Hang},
				}})
				session := connect(ctx, t, &mcp.StreamableClientTransport{Endpoint: url}, revision, nil)
				if got := session.InitializeResult().ProtocolVersion; got != revision {
					t.Errorf("revision %q, want %q", got, revision)
				}
				var names []string
				for tool, err := range session.Tools(ctx, nil) {
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, tool.Name)
				}
				if diff := cmp.Diff([]string{"a", "naïve name", "c"}, names); diff != "" {
					t.Errorf("tools (-want +got):\n%s", diff)
				}
				result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "naïve name", Arguments: map[string]any{"nonce": "n\n1", "n": 2}})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"n\n1"}, texts(result)); diff != "" {
					t.Errorf("echo (-want +got):\n%s", diff)
				}
				if want := map[string]int{"legacy": 1, "modern": 0}[era]; server.Sessions() != want {
					t.Errorf("%d sessions, want %d", server.Sessions(), want)
				}
			})
		}
	}
}

func TestRealClientsSeeProgressAndErrors(t *testing.T) {
	t.Parallel()
	for era, revision := range eras() {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, url := serve(t, fake.Config{Tools: []fake.Tool{
				{Name: "slow", Behaviour: fake.Progressing(3, time.Millisecond, fake.Echo)},
				{Name: "bad", Behaviour: fake.Fail(fake.Error{Code: -5, Message: "no luck"})},
			}})
			progress := make(chan float64, 3)
			session := connect(ctx, t, &mcp.StreamableClientTransport{Endpoint: url}, revision, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { progress <- r.Params.Progress },
			})
			params := &mcp.CallToolParams{Name: "slow"}
			params.SetProgressToken("t")
			if _, err := session.CallTool(ctx, params); err != nil {
				t.Fatal(err)
			}
			for want := range 3 {
				if got := <-progress; got != float64(want+1) {
					t.Errorf("progress %v, want %d", got, want+1)
				}
			}
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "bad"}); err == nil || !strings.Contains(err.Error(), "no luck") {
				t.Errorf("error %v, want no luck", err)
			}
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "none"}); err == nil {
				t.Error("an unknown tool was answered")
			}
		})
	}
}

func TestRealClientsHearOfNewTools(t *testing.T) {
	t.Parallel()
	for era, revision := range eras() {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			server, url := serve(t, fake.Config{})
			heard := make(chan struct{}, 8)
			session := connect(ctx, t, &mcp.StreamableClientTransport{Endpoint: url}, revision, &mcp.ClientOptions{
				ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { heard <- struct{}{} },
			})
			for server.Streams() == 0 { // the client opens its stream in the background
				select {
				case <-ctx.Done():
					t.Fatal("the client opened no stream")
				case <-time.After(time.Millisecond):
				}
			}
			server.SetTools([]fake.Tool{{Name: "new", Behaviour: fake.Echo}})
			select {
			case <-heard:
			case <-ctx.Done():
				t.Fatal("list_changed did not arrive")
			}
			tools, err := session.ListTools(ctx, nil)
			if err != nil || len(tools.Tools) != 1 || tools.Tools[0].Name != "new" {
				t.Errorf("tools after the change: %v, %v", tools, err)
			}
		})
	}
}

func TestRealClientsUseTheStdioServer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	program := filepath.Join(t.TempDir(), "stdioserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./stdioserver").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for era, revision := range eras() {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			command := exec.Command(program, "-era", era, "-latency", "2ms")
			var stderr strings.Builder
			command.Stderr = &stderr
			session := connect(ctx, t, &mcp.CommandTransport{Command: command}, revision, nil)
			for range 20 {
				result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"nonce": "x"}})
				if err != nil || !cmp.Equal(texts(result), []string{"x"}) {
					t.Fatalf("echo = %v, %v", result, err)
				}
			}
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "crash", Arguments: map[string]any{"status": 7, "stderr": "boom\n"}}); err == nil {
				t.Fatal("the crash was answered")
			}
			_ = session.Close()
			if got := command.ProcessState.ExitCode(); got != 7 || stderr.String() != "boom\n" {
				t.Errorf("status %d, standard error %q", got, stderr.String())
			}
		})
	}
}
