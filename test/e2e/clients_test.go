package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/peer"
)

// client is a foreign client: how it lists the tools of an endpoint, and how it
// calls one with string arguments.
type client struct {
	name string
	list func(t *testing.T, url string) []string
	call func(t *testing.T, url, tool string, arguments map[string]string) string
}

var clients = []client{
	{"go-sdk legacy", goSDKList("2025-11-25"), goSDKCall("2025-11-25")},
	{"go-sdk modern", goSDKList("2026-07-28"), goSDKCall("2026-07-28")},
	{"mcp-go legacy", mcpGoList("2025-11-25"), mcpGoCall("2025-11-25")},
	{"mcp-go modern", mcpGoList("2026-07-28"), mcpGoCall("2026-07-28")},
	{"inspector legacy", inspectorList("legacy"), inspectorCall("legacy")},
	{"inspector auto", inspectorList("auto"), inspectorCall("auto")},
	{"inspector modern", inspectorList("modern"), inspectorCall("modern")},
	{"mcporter", mcporterList, mcporterCall},
}

// use is one call that every client makes: a tool by its canonical name, and what
// the answer must hold.
type use struct {
	tool      string
	arguments map[string]string
	want      string
}

// foreign starts all foreign servers behind one gateway. It returns the URL of the
// merged endpoint, how many tools there are at least, and a call for each server.
func foreign(t *testing.T) (url string, tools int, uses []use) {
	t.Helper()
	folder := t.TempDir()
	memory := map[string]string{"MEMORY_FILE_PATH": folder + "/memory.jsonl"}
	yaml := "upstreams:\n" +
		stdioUpstream("everything", peer.Command(t, peer.ServerEverything)) +
		stdioUpstream("files", peer.Command(t, peer.ServerFilesystem, folder)) +
		withEnv(stdioUpstream("memory", peer.Command(t, peer.ServerMemory)), memory) +
		stdioUpstream("gomemory", peer.Command(t, peer.GoSDKMemory)) +
		stdioUpstream("goeverything", peer.Command(t, peer.GoSDKEverything)) +
		httpUpstream("mcpgo", peer.Serve(t, peer.MCPGoEverything).URL)
	g := startGateway(t, yaml)
	for _, u := range g.Upstreams() {
		t.Logf("%s: %s, %s, %d tools %s", u.Name, u.State, u.Era, u.Tools, u.Note)
		if u.State != "up" {
			t.Fatalf("upstream %s is %s: %s", u.Name, u.State, u.Note)
		}
		tools += u.Tools
	}
	odd := canonicalOf(t, endpoint(g, "/mcp"), "goeverything__greet__content_with_ResourceLink_")
	return endpoint(g, "/mcp"), tools, []use{
		{"everything__echo", map[string]string{"message": "hello"}, "hello"},
		{"files__list_allowed_directories", nil, folder},
		{"memory__read_graph", nil, "entities"},
		{"gomemory__read_graph", nil, "entities"},
		{odd, map[string]string{"name": "Ada"}, "greeting"},
		{"mcpgo__echo", map[string]string{"message": "hello"}, "hello"},
	}
}

func withEnv(yaml string, env map[string]string) string {
	var members []string
	for k, v := range env {
		members = append(members, fmt.Sprintf("%s: %q", k, v))
	}
	return strings.Replace(yaml, "}\n", ", env: {"+strings.Join(members, ", ")+"}}\n", 1)
}

// canonicalOf returns the one listed name that begins with a prefix.
func canonicalOf(t *testing.T, url, prefix string) string {
	t.Helper()
	for _, name := range goSDKList("2025-11-25")(t, url) {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	t.Fatalf("no tool begins with %s", prefix)
	return ""
}

func TestEveryClientUsesEveryServer(t *testing.T) {
	t.Parallel()
	url, tools, uses := foreign(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			names := c.list(t, url)
			if len(names) < tools {
				t.Errorf("lists %d tools, want at least %d: %q", len(names), tools, names)
			}
			for _, u := range uses {
				if !slices.Contains(names, u.tool) {
					t.Errorf("does not list %s", u.tool)
				}
				if got := c.call(t, url, u.tool, u.arguments); !strings.Contains(got, u.want) {
					t.Errorf("%s: got %.500s, want something with %q", u.tool, got, u.want)
				}
			}
		})
	}
}

func goSDKSession(t *testing.T, url, revision string) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: url}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if got := s.InitializeResult().ProtocolVersion; got != revision {
		t.Errorf("speaks %s, want %s", got, revision)
	}
	return s
}

func goSDKList(revision string) func(*testing.T, string) []string {
	return func(t *testing.T, url string) (names []string) {
		t.Helper()
		for tool, err := range goSDKSession(t, url, revision).Tools(t.Context(), nil) {
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			names = append(names, tool.Name)
		}
		return names
	}
}

func goSDKCall(revision string) func(*testing.T, string, string, map[string]string) string {
	return func(t *testing.T, url, tool string, arguments map[string]string) string {
		t.Helper()
		params := &gosdk.CallToolParams{Name: tool}
		if arguments != nil {
			params.Arguments = arguments
		}
		res, err := goSDKSession(t, url, revision).CallTool(t.Context(), params)
		if err != nil {
			t.Fatalf("call %s: %v", tool, err)
		}
		return jsonOf(t, res)
	}
}

func mcpGoClient(t *testing.T, url, revision string) *mcpgo.Client {
	t.Helper()
	c, err := mcpgo.NewStreamableHttpClient(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	var request mcpgotypes.InitializeRequest
	request.Params.ProtocolVersion = revision
	request.Params.ClientInfo = mcpgotypes.Implementation{Name: "e2e", Version: "1"}
	res, err := c.Initialize(t.Context(), request)
	if err != nil {
		t.Fatalf("initialize: %v", err)
	}
	if res.ProtocolVersion != revision {
		t.Errorf("speaks %s, want %s", res.ProtocolVersion, revision)
	}
	return c
}

func mcpGoList(revision string) func(*testing.T, string) []string {
	return func(t *testing.T, url string) (names []string) {
		t.Helper()
		res, err := mcpGoClient(t, url, revision).ListTools(t.Context(), mcpgotypes.ListToolsRequest{})
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		for _, tool := range res.Tools {
			names = append(names, tool.Name)
		}
		return names
	}
}

func mcpGoCall(revision string) func(*testing.T, string, string, map[string]string) string {
	return func(t *testing.T, url, tool string, arguments map[string]string) string {
		t.Helper()
		var given any
		if arguments != nil {
			given = arguments
		}
		return mcpGoCallAny(t, url, revision, tool, given)
	}
}

func mcpGoCallAny(t *testing.T, url, revision, tool string, arguments any) string {
	t.Helper()
	var request mcpgotypes.CallToolRequest
	request.Params.Name = tool
	request.Params.Arguments = arguments
	res, err := mcpGoClient(t, url, revision).CallTool(t.Context(), request)
	if err != nil {
		t.Fatalf("call %s: %v", tool, err)
	}
	return jsonOf(t, res)
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func inspector(t *testing.T, url, era string, args ...string) string {
	t.Helper()
	out := peer.Inspector(t, append([]string{url, "--transport", "http", "--protocol-era", era}, args...)...)
	if out.Code != 0 {
		t.Fatalf("inspector %q: exit %d\n%s%s", args, out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

func inspectorList(era string) func(*testing.T, string) []string {
	return func(t *testing.T, url string) (names []string) {
		t.Helper()
		return namesOf(t, inspector(t, url, era, "--method", "tools/list"))
	}
}

func inspectorCall(era string) func(*testing.T, string, string, map[string]string) string {
	return func(t *testing.T, url, tool string, arguments map[string]string) string {
		t.Helper()
		args := []string{"--method", "tools/call", "--tool-name", tool}
		for k, v := range arguments {
			args = append(args, "--tool-arg", k+"="+v)
		}
		return inspector(t, url, era, args...)
	}
}

// namesOf reads the names of the tools in a JSON text.
func namesOf(t *testing.T, text string) (names []string) {
	t.Helper()
	var list struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal([]byte(text[max(0, strings.Index(text, "{")):]), &list); err != nil {
		t.Fatalf("%v in %.500s", err, text)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func mcporter(t *testing.T, args ...string) string {
	t.Helper()
	out := peer.Mcporter(t, args...)
	if out.Code != 0 {
		t.Fatalf("mcporter %q: exit %d\n%s%s", args, out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

func mcporterList(t *testing.T, url string) []string {
	t.Helper()
	return namesOf(t, mcporter(t, "list", url, "--allow-http", "--json"))
}

func mcporterCall(t *testing.T, url, tool string, arguments map[string]string) string {
	t.Helper()
	args := []string{"call", url + "." + tool, "--allow-http"}
	for k, v := range arguments {
		args = append(args, k+"="+v)
	}
	return mcporter(t, args...)
}
