package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/peer"
)

// client is a foreign client: over which transports it speaks, how it lists the tools of
// an endpoint, and how it calls one with string arguments.
type client struct {
	name string
	over []transport
	list func(t *testing.T, to place) []string
	call func(t *testing.T, to place, tool string, arguments map[string]string) string
}

// clients are all foreign clients. None of them speaks over WebSockets.
var clients = []client{
	{"go-sdk legacy", []transport{streamable, older, pipes}, goSDKList("2025-11-25"), goSDKCall("2025-11-25")},
	{"go-sdk modern", []transport{streamable, pipes}, goSDKList("2026-07-28"), goSDKCall("2026-07-28")},
	{"mcp-go legacy", []transport{streamable, older, pipes}, mcpGoList("2025-11-25"), mcpGoCall("2025-11-25")},
	{"mcp-go modern", []transport{streamable, pipes}, mcpGoList("2026-07-28"), mcpGoCall("2026-07-28")},
	{"inspector legacy", []transport{streamable, older, pipes}, inspectorList("legacy"), inspectorCall("legacy")},
	{"inspector auto", []transport{streamable, pipes}, inspectorList("auto"), inspectorCall("auto")},
	{"inspector modern", []transport{streamable, pipes}, inspectorList("modern"), inspectorCall("modern")},
	{"mcporter", []transport{streamable, older, pipes}, mcporterList, mcporterCall},
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
	for _, name := range goSDKList("2025-11-25")(t, overHTTP(url)) {
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
			names := c.list(t, overHTTP(url))
			if len(names) < tools {
				t.Errorf("lists %d tools, want at least %d: %q", len(names), tools, names)
			}
			for _, u := range uses {
				if !slices.Contains(names, u.tool) {
					t.Errorf("does not list %s", u.tool)
				}
				if got := c.call(t, overHTTP(url), u.tool, u.arguments); !strings.Contains(got, u.want) {
					t.Errorf("%s: got %.500s, want something with %q", u.tool, got, u.want)
				}
			}
		})
	}
}
