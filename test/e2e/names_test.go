package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/peer"
)

func TestEqualNamesAreReachableUnderEveryPrefix(t *testing.T) {
	t.Parallel()
	servers := "upstreams:\n" +
		withEnv(stdioUpstream("node", peer.Command(t, peer.ServerMemory)), map[string]string{"MEMORY_FILE_PATH": t.TempDir() + "/memory.jsonl"}) +
		stdioUpstream("go", peer.Command(t, peer.GoSDKMemory)) +
		"endpoints:\n  /mcp: {prefix: always}\n  /mcp/collide: {prefix: on-collision}\n  /mcp/plain: {prefix: never}\n"
	g := startGateway(t, servers)
	own := goSDKList("2025-11-25")(t, overHTTP(endpoint(g, "/mcp/node")))
	if len(own) != 9 {
		t.Fatalf("the server has %q, want nine tools", own)
	}
	for path, shown := range map[string]int{"/mcp": 18, "/mcp/collide": 18, "/mcp/plain": 9} {
		url := endpoint(g, path)
		names := goSDKList("2025-11-25")(t, overHTTP(url))
		if len(names) != shown {
			t.Errorf("%s shows %d tools, want %d: %q", path, len(names), shown, names)
		}
		if path == "/mcp/plain" && !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(own))) {
			t.Errorf("%s shows %q, want the servers' own names", path, names)
		}
		for _, up := range []string{"node", "go"} {
			tool := up + "__create_entities"
			got := mcpGoCallAny(t, overHTTP(url), "2025-11-25", tool, map[string]any{"entities": []any{
				map[string]any{"name": up + path, "entityType": "server", "observations": []string{path}},
			}})
			if !strings.Contains(got, up) || strings.Contains(got, `"isError":true`) {
				t.Errorf("%s on %s: %s", tool, path, got)
			}
		}
		graphs := map[string]string{}
		for _, up := range []string{"node", "go"} {
			graphs[up] = goSDKCall("2025-11-25")(t, overHTTP(url), up+"__read_graph", nil)
		}
		if strings.Contains(graphs["node"], "go/mcp") || strings.Contains(graphs["go"], "node/mcp") {
			t.Errorf("%s: calls went to the wrong server: %v", path, graphs)
		}
	}
}
