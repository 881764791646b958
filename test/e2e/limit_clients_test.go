package e2e

import (
	"strings"
	"testing"

	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

// Clients that others wrote learn that a limit refused their call, and go on. Which limit
// it was the Go SDK says only where refusals have the status 200.
func TestClientsAreToldOfLimits(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	const told, status = `the limit "calls" of 0 requests a day`, "Too Many Requests"
	for refusals, want := range map[string]map[string]string{
		"http":     {"go-sdk": status, "mcp-go": told, "inspector": `HTTP 429`, "mcporter": "HTTP 429"},
		"json-rpc": {"go-sdk": told, "mcp-go": told, "inspector": `a day allows`, "mcporter": "a day allows"},
	} {
		t.Run(refusals, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "limit_refusals: "+refusals+"\nlimits: [{name: calls, scope: ip, unit: requests, method: tools/call, limit: 0, per: day}]\nupstreams:\n"+httpUpstream("one", server))
			to := overHTTP(endpoint(g, "/mcp"))
			check := func(client, got string) {
				if !strings.Contains(got, want[client]) {
					t.Errorf("%s was told %s", client, got)
				}
			}
			for _, revision := range []string{"2025-11-25", "2026-07-28"} {
				s := goSDKSession(t, to, revision)
				for range 2 {
					_, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "one__echo"})
					if err == nil {
						t.Fatal("a call passed")
					}
					check("go-sdk", err.Error())
				}
				if got, err := s.ListTools(t.Context(), nil); err != nil || len(got.Tools) != 1 {
					t.Errorf("go-sdk does not go on: %v", err)
				}
			}
			c := mcpGoClient(t, to, "2025-11-25")
			var call mcpgotypes.CallToolRequest
			call.Params.Name = "one__echo"
			_, err := c.CallTool(t.Context(), call)
			if err == nil {
				t.Fatal("a call passed")
			}
			check("mcp-go", err.Error())
			if _, err := c.ListTools(t.Context(), mcpgotypes.ListToolsRequest{}); err != nil {
				t.Errorf("mcp-go does not go on: %v", err)
			}
			for _, era := range []string{"legacy", "modern"} {
				out := peer.Inspector(t, to.url, "--transport", "http", "--protocol-era", era, "--method", "tools/call", "--tool-name", "one__echo")
				check("inspector", out.Stdout+out.Stderr)
			}
			out := peer.Mcporter(t, "call", to.url+".one__echo", "--allow-http")
			check("mcporter", out.Stdout+out.Stderr)
		})
	}
}
