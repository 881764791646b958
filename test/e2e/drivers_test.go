package e2e

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/peer"
)

// transport is a way from a client to the gateway.
type transport string

const (
	streamable transport = "Streamable HTTP"
	older      transport = "HTTP+SSE"
	pipes      transport = "stdio"
)

// place is an endpoint and the way to it.
type place struct {
	over    transport
	url     string
	program []string // for stdio
}

func overHTTP(url string) place { return place{over: streamable, url: url} }

func (to place) goSDK(t *testing.T) gosdk.Transport {
	t.Helper()
	switch to.over {
	case older:
		return &gosdk.SSEClientTransport{Endpoint: to.url}
	case pipes:
		return &gosdk.CommandTransport{Command: exec.CommandContext(t.Context(), to.program[0], to.program[1:]...)}
	}
	return &gosdk.StreamableClientTransport{Endpoint: to.url}
}

// mcpGo returns a client that has been started.
func (to place) mcpGo(t *testing.T) (c *mcpgo.Client) {
	t.Helper()
	var err error
	switch to.over {
	case older:
		c, err = mcpgo.NewSSEMCPClient(to.url)
	case pipes:
		if c, err = mcpgo.NewStdioMCPClient(to.program[0], nil, to.program[1:]...); err == nil {
			return c // this one starts by itself
		}
	default:
		c, err = mcpgo.NewStreamableHttpClient(to.url)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	return c
}

func (to place) inspector() []string {
	switch to.over {
	case older:
		return []string{to.url, "--transport", "sse"}
	case pipes:
		return slices.Concat(to.program, []string{"--transport", "stdio"})
	}
	return []string{to.url, "--transport", "http"}
}

// mcporter names the program to start.
func (to place) mcporter() []string {
	args := []string{"--stdio", to.program[0]}
	for _, a := range to.program[1:] {
		args = append(args, "--stdio-arg", a)
	}
	return append(args, "--name", "headgate")
}

func goSDKSession(t *testing.T, to place, revision string) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), to.goSDK(t), &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if got := s.InitializeResult().ProtocolVersion; got != revision {
		t.Errorf("speaks %s, want %s", got, revision)
	}
	return s
}

func goSDKList(revision string) func(*testing.T, place) []string {
	return func(t *testing.T, to place) (names []string) {
		t.Helper()
		for tool, err := range goSDKSession(t, to, revision).Tools(t.Context(), nil) {
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			names = append(names, tool.Name)
		}
		return names
	}
}

func goSDKCall(revision string) func(*testing.T, place, string, map[string]string) string {
	return func(t *testing.T, to place, tool string, arguments map[string]string) string {
		t.Helper()
		params := &gosdk.CallToolParams{Name: tool}
		if arguments != nil {
			params.Arguments = arguments
		}
		res, err := goSDKSession(t, to, revision).CallTool(t.Context(), params)
		if err != nil {
			t.Fatalf("call %s: %v", tool, err)
		}
		return jsonOf(t, res)
	}
}

func mcpGoClient(t *testing.T, to place, revision string) *mcpgo.Client {
	t.Helper()
	c := to.mcpGo(t)
	t.Cleanup(func() { _ = c.Close() })
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

func mcpGoList(revision string) func(*testing.T, place) []string {
	return func(t *testing.T, to place) (names []string) {
		t.Helper()
		res, err := mcpGoClient(t, to, revision).ListTools(t.Context(), mcpgotypes.ListToolsRequest{})
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		for _, tool := range res.Tools {
			names = append(names, tool.Name)
		}
		return names
	}
}

func mcpGoCall(revision string) func(*testing.T, place, string, map[string]string) string {
	return func(t *testing.T, to place, tool string, arguments map[string]string) string {
		t.Helper()
		var given any
		if arguments != nil {
			given = arguments
		}
		return mcpGoCallAny(t, to, revision, tool, given)
	}
}

func mcpGoCallAny(t *testing.T, to place, revision, tool string, arguments any) string {
	t.Helper()
	var request mcpgotypes.CallToolRequest
	request.Params.Name = tool
	request.Params.Arguments = arguments
	res, err := mcpGoClient(t, to, revision).CallTool(t.Context(), request)
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

func inspector(t *testing.T, to place, era string, args ...string) string {
	t.Helper()
	out := peer.Inspector(t, slices.Concat(to.inspector(), []string{"--protocol-era", era}, args)...)
	if out.Code != 0 {
		t.Fatalf("inspector %q: exit %d\n%s%s", args, out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

func inspectorList(era string) func(*testing.T, place) []string {
	return func(t *testing.T, to place) (names []string) {
		t.Helper()
		return namesOf(t, inspector(t, to, era, "--method", "tools/list"))
	}
}

func inspectorCall(era string) func(*testing.T, place, string, map[string]string) string {
	return func(t *testing.T, to place, tool string, arguments map[string]string) string {
		t.Helper()
		args := []string{"--method", "tools/call", "--tool-name", tool}
		for k, v := range arguments {
			args = append(args, "--tool-arg", k+"="+v)
		}
		return inspector(t, to, era, args...)
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

func mcporterList(t *testing.T, to place) []string {
	t.Helper()
	if to.over == pipes {
		return namesOf(t, mcporter(t, append([]string{"list", "--json"}, to.mcporter()...)...))
	}
	return namesOf(t, mcporter(t, "list", to.url, "--allow-http", "--json"))
}

func mcporterCall(t *testing.T, to place, tool string, arguments map[string]string) string {
	t.Helper()
	args := []string{"call", to.url + "." + tool, "--allow-http"}
	if to.over == pipes {
		args = append([]string{"call", "--tool", tool}, to.mcporter()...)
	}
	if arguments != nil {
		args = append(args, "--args", jsonOf(t, arguments))
	}
	return mcporter(t, args...)
}
