package peer_test

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/peer"
)

// TestServers holds each server to what other tests count on: it starts, over each transport it is listed
// with, and has so many tools.
func TestServers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  peer.Name
		args  func(t *testing.T) []string
		tools int
		http  bool
	}{
		{name: peer.ServerEverything, tools: 14}, // 13 for a client without roots
		{name: peer.ServerFilesystem, tools: 14, args: func(t *testing.T) []string { return []string{t.TempDir()} }},
		{name: peer.ServerMemory, tools: 9},
		{name: peer.GoSDKMemory, tools: 9, http: true},
		{name: peer.GoSDKEverything, tools: 10, http: true},
		{name: peer.MCPGoEverything, tools: 6, http: true},
		{name: peer.GoSDKSuiteLegacy, tools: 28, http: true},
		{name: peer.GoSDKSuiteModern, tools: 28, http: true},
	}
	for _, tt := range tests {
		t.Run(string(tt.name)+"/stdio", func(t *testing.T) {
			t.Parallel()
			var args []string
			if tt.args != nil {
				args = tt.args(t)
			}
			argv := peer.Command(t, tt.name, args...)
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			wantTools(t, &mcp.CommandTransport{Command: cmd}, tt.tools)
		})
		if !tt.http {
			continue
		}
		t.Run(string(tt.name)+"/http", func(t *testing.T) {
			t.Parallel()
			wantTools(t, &mcp.StreamableClientTransport{Endpoint: peer.Serve(t, tt.name).URL}, tt.tools)
		})
	}
}

func wantTools(t *testing.T, transport mcp.Transport, want int) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "peer-test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Tools) != want {
		t.Errorf("%d tools, want %d", len(list.Tools), want)
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	legacy := peer.Serve(t, peer.GoSDKSuiteLegacy).URL
	modern := peer.Serve(t, peer.GoSDKSuiteModern).URL
	tests := map[string]func(t *testing.T) peer.Output{
		"inspector legacy": inspect(legacy, "legacy"),
		"inspector auto":   inspect(legacy, "auto"),
		"inspector modern": inspect(modern, "modern"),
		"mcporter": func(t *testing.T) peer.Output {
			return peer.Mcporter(t, "list", legacy, "--allow-http")
		},
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := call(t)
			if out.Code != 0 || !strings.Contains(out.Stdout, "test_simple_text") {
				t.Errorf("exit status %d\n%s\n%s", out.Code, out.Stdout, out.Stderr)
			}
		})
	}
}

func inspect(url, era string) func(t *testing.T) peer.Output {
	return func(t *testing.T) peer.Output {
		return peer.Inspector(t, url, "--transport", "http", "--protocol-era", era, "--method", "tools/list")
	}
}

func TestSuiteLists(t *testing.T) {
	t.Parallel()
	out, err := peer.Installed(t).Suite(t.Context(), t.TempDir(), "list", "--server", "--spec-version", "2026-07-28")
	if err != nil || out.Code != 0 || !strings.Contains(out.Stdout, "server-stateless") {
		t.Errorf("%v, exit status %d\n%s\n%s", err, out.Code, out.Stdout, out.Stderr)
	}
}

func TestStopEndsTheProcessGroup(t *testing.T) {
	t.Parallel()
	p := peer.Serve(t, peer.GoSDKMemory)
	p.Stop()
	p.Stop()
	if err := syscall.Kill(-p.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to the group after Stop: %v, want no such process", err)
	}
}

func TestLaunchTellsWhyAProgramEnded(t *testing.T) {
	t.Parallel()
	_, err := peer.Launch(t.Context(), func(string) peer.Launched {
		return peer.Launched{Argv: []string{"sh", "-c", "echo the reason >&2; exit 3"}}
	})
	if err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v, want the program's own words", err)
	}
}
