package e2e

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

var legacyTasks = json.RawMessage(`{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}`)

// withLegacyTasks runs a gateway in front of a legacy server whose tools run as tasks.
func withLegacyTasks(t *testing.T, tasks *fake.LegacyTasks) (url string) {
	t.Helper()
	_, server := fakeUpstream(t, fake.Config{Name: "old", Eras: fake.Legacy, LegacyTasks: tasks, Tools: tasks.Tools(), Capabilities: legacyTasks})
	_, other := fakeUpstream(t, fake.Config{Name: "other", Eras: fake.Modern})
	return endpoint(startGateway(t, "upstreams:\n"+httpUpstream("old", server)+httpUpstream("other", other)), "/mcp")
}

// A tool that runs as a task is to clients of both eras one like any other: it tells of
// progress, asks them, and answers. The server is asked as often as it wants to be.
func TestToolsThatRunAsTasks(t *testing.T) {
	t.Parallel()
	tasks := &fake.LegacyTasks{Poll: 60 * time.Millisecond, Looks: 3}
	url := withLegacyTasks(t, tasks)
	for i, revision := range []string{"2025-11-25", "2026-07-28"} {
		var mu sync.Mutex
		var told []float64
		s := taskCaller(t, url, revision, func(p *gosdk.ProgressNotificationParams) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p.Progress)
		})
		params := &gosdk.CallToolParams{Name: "old__asks"}
		params.SetProgressToken("steps")
		res, err := s.CallTool(t.Context(), params)
		if got := jsonOf(t, res); err != nil || !strings.Contains(got, "Ada") || strings.Contains(got, "related-task") {
			t.Errorf("%s: %v, %s", revision, err, got)
		}
		mu.Lock()
		if len(told) == 0 || !slices.IsSorted(told) {
			t.Errorf("%s: told of progress %v", revision, told)
		}
		mu.Unlock()
		status, looks := tasks.Status(i)
		if status != "completed" || len(looks) != tasks.Looks {
			t.Errorf("%s: the task is %s and was asked for %d times", revision, status, len(looks))
		}
		for j := 1; j < len(looks); j++ {
			if pause := looks[j].Sub(looks[j-1]); pause < tasks.Poll-5*time.Millisecond {
				t.Errorf("%s: asked again after %v", revision, pause)
			}
		}
	}
}

// taskCaller is a client of the Go SDK that answers what it is asked.
func taskCaller(t *testing.T, url, revision string, progress func(*gosdk.ProgressNotificationParams)) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{
		ElicitationHandler: func(context.Context, *gosdk.ElicitRequest) (*gosdk.ElicitResult, error) {
			return &gosdk.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada", "interpretation": "snake"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *gosdk.ProgressNotificationClientRequest) { progress(r.Params) },
	})
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: url}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A task whose client cancels or goes away is cancelled at its server.
func TestToolsThatRunAsTasksAreCancelled(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		tasks := &fake.LegacyTasks{Poll: 50 * time.Millisecond}
		s := taskCaller(t, withLegacyTasks(t, tasks), revision, func(*gosdk.ProgressNotificationParams) {})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.CallTool(ctx, &gosdk.CallToolParams{Name: "old__sleeps"})
			ended <- err
		}()
		eventually(t, "the task is begun", func() bool { status, _ := tasks.Status(0); return status == "working" })
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("%s: it did not end", revision)
		}
		eventually(t, "the task is cancelled", func() bool { status, _ := tasks.Status(0); return status == "cancelled" })
	}
}

// The error that a task ends with is the call's.
func TestToolsThatFailAsTasks(t *testing.T) {
	t.Parallel()
	url := withLegacyTasks(t, &fake.LegacyTasks{Poll: 50 * time.Millisecond})
	want := `"code":-32000,"message":"the task is over: it failed"`
	for era, body := range bothEras(t, url, "old__fails") {
		if !strings.Contains(body, want) {
			t.Errorf("%s client: %s", era, body)
		}
	}
}

// bothEras calls a tool as a client of each era that declares nothing.
func bothEras(t *testing.T, url, tool string) map[string]string {
	t.Helper()
	res, old := legacy(t, url, "{}").post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{},"task":{"ttl":1}}}`, nil)
	_, modern := (&raw{t: t, url: url}).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{},`+modernMeta+`}}`,
		modernHeaders("tools/call", tool))
	return map[string]string{"legacy": message(res, old), "modern": modern}
}

// Clients are shown tools that they can call, and no tasks.
func TestLegacyTasksAreNotShown(t *testing.T) {
	t.Parallel()
	url := withLegacyTasks(t, &fake.LegacyTasks{})
	for _, path := range []string{"", "/old"} {
		r := &raw{t: t, url: url + path}
		_, opened := r.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
		_, listed := legacy(t, url+path, "{}").post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil)
		if strings.Contains(opened, "tasks") || strings.Contains(listed, "taskSupport") || !strings.Contains(listed, "sleeps") {
			t.Errorf("%s: %s\n%s", path, opened, listed)
		}
	}
}

// Foreign servers with tasks: of mcp-go, and the reference server of the TypeScript SDK,
// which asks in the middle of a task, over standard input and output.
func TestTasksOfForeignServers(t *testing.T) {
	t.Parallel()
	upstreams := "upstreams:\n" + httpUpstream("go", mcpGoTasks(t)) + stdioUpstream("everything", peer.Command(t, peer.ServerEverything))
	url := endpoint(startGateway(t, upstreams), "/mcp")
	for era, body := range bothEras(t, url, "go__count") {
		if !strings.Contains(body, "counted to 3") {
			t.Errorf("%s client: mcp-go: %s", era, body)
		}
	}
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		s := taskCaller(t, url, revision, func(*gosdk.ProgressNotificationParams) {})
		res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{
			Name: "everything__simulate-research-query", Arguments: map[string]any{"topic": "python", "ambiguous": true},
		})
		if got := jsonOf(t, res); err != nil || !strings.Contains(got, "python (snake)") {
			t.Errorf("%s: server-everything: %v, %s", revision, err, got)
		}
	}
}

// mcpGoTasks runs a server of mcp-go with a tool that runs as a task only.
func mcpGoTasks(t *testing.T) string {
	t.Helper()
	s := mcpgoserver.NewMCPServer("tasks", "1", mcpgoserver.WithTaskCapabilities(true, true, true))
	s.AddTaskTool(mcpgo.NewTool("count", mcpgo.WithTaskSupport(mcpgo.TaskSupportRequired)),
		func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CreateTaskResult, error) {
			time.Sleep(10 * time.Millisecond)
			res := &mcpgo.CreateTaskResult{}
			res.Content = []mcpgo.Content{mcpgo.NewTextContent("counted to 3")}
			return res, nil
		})
	web := httptest.NewServer(mcpgoserver.NewStreamableHTTPServer(s))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	return web.URL
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}
