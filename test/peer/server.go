package peer

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Name names a foreign server, in one way of running it.
type Name string

// Servers. The comments tell what each is good for.
const (
	// ServerEverything has tools, resources, prompts and every feature of the legacy era; stdio.
	ServerEverything Name = "server-everything"
	// ServerEverythingSSE is the same over HTTP+SSE, the transport of 2024-11-05.
	ServerEverythingSSE Name = "server-everything-sse"
	// ServerFilesystem takes the folders it may touch as arguments; stdio, legacy.
	ServerFilesystem Name = "server-filesystem"
	// ServerMemory is a knowledge graph of nine tools; stdio, legacy.
	ServerMemory Name = "server-memory"
	// GoSDKMemory has the same nine tool names as ServerMemory; stdio and HTTP, both eras.
	GoSDKMemory Name = "go-sdk-memory"
	// GoSDKEverything has tool names with spaces and parentheses; stdio and HTTP, both eras.
	GoSDKEverything Name = "go-sdk-everything"
	// MCPGoEverything pages its 101 resources; stdio and HTTP, both eras.
	MCPGoEverything Name = "mcp-go-everything"
	// GoSDKSuiteLegacy is what the official conformance suite calls, with sessions; stdio and HTTP.
	GoSDKSuiteLegacy Name = "go-sdk-suite-legacy"
	// GoSDKSuiteModern is what the official conformance suite calls, stateless; stdio and HTTP.
	GoSDKSuiteModern Name = "go-sdk-suite-modern"
)

// server tells how a program runs.
type server struct {
	program func(*Set) []string
	stdio   []string // arguments for stdio
	// http returns arguments and environment for an address. Nil: stdio only.
	http func(addr string) (args, env []string)
	path string // of the HTTP endpoint
}

// servers is the table of what can be started.
var servers = map[Name]server{
	ServerEverything: {program: script("22", "@modelcontextprotocol/server-everything/dist/index.js"), stdio: []string{"stdio"}},
	ServerEverythingSSE: {
		program: script("22", "@modelcontextprotocol/server-everything/dist/index.js"), path: "/sse",
		http: func(addr string) (args, env []string) {
			_, port, _ := strings.Cut(addr, ":")
			return []string{"sse"}, []string{"PORT=" + port}
		},
	},
	ServerFilesystem: {program: script("22", "@modelcontextprotocol/server-filesystem/dist/index.js")},
	ServerMemory:     {program: script("22", "@modelcontextprotocol/server-memory/dist/index.js")},
	GoSDKMemory:      {program: binary("go-sdk-memory"), http: httpFlag(), path: "/"},
	GoSDKEverything:  {program: binary("go-sdk-everything"), http: httpFlag(), path: "/"},
	MCPGoEverything: {program: binary("mcp-go-everything"), path: "/mcp", http: func(addr string) (args, env []string) {
		return []string{"-t", "http"}, []string{"LISTEN=" + addr}
	}},
	GoSDKSuiteLegacy: {program: binary("go-sdk-suite"), http: httpFlag("-stateless=false"), path: "/"},
	GoSDKSuiteModern: {program: binary("go-sdk-suite"), http: httpFlag("-stateless=true"), path: "/"},
}

func script(major, path string) func(*Set) []string {
	return func(s *Set) []string { return s.node(major, path) }
}

func binary(name string) func(*Set) []string {
	return func(s *Set) []string { return []string{s.binary(name)} }
}

func httpFlag(more ...string) func(addr string) (args, env []string) {
	return func(addr string) (args, env []string) {
		return append([]string{"-http", addr}, more...), nil
	}
}

// Command returns the command line that runs a server over stdio, with arguments of the caller's appended.
func (s *Set) Command(name Name, args ...string) ([]string, error) {
	srv, ok := servers[name]
	if !ok {
		return nil, fmt.Errorf("no foreign server is called %q", name)
	}
	return slices.Concat(srv.program(s), srv.stdio, args), nil
}

// Serve starts a server over HTTP on a free port of 127.0.0.1 and returns when it accepts
// connections. The caller must Stop it; it is killed when ctx ends.
func (s *Set) Serve(ctx context.Context, name Name) (*Process, error) {
	srv, ok := servers[name]
	if !ok || srv.http == nil {
		return nil, fmt.Errorf("no foreign server called %q speaks HTTP", name)
	}
	return Launch(ctx, func(addr string) Launched {
		args, env := srv.http(addr)
		return Launched{Argv: slices.Concat(srv.program(s), args), Env: env, URL: "http://" + addr + srv.path}
	})
}

// ServeWebSocket puts a stdio server behind WebSockets with websocketd, which starts a process for each connection
// and makes a line of each message and a message of each line. The rest is as for Serve.
func (s *Set) ServeWebSocket(ctx context.Context, name Name, args ...string) (*Process, error) {
	argv, err := s.Command(name, args...)
	if err != nil {
		return nil, err
	}
	return Launch(ctx, func(addr string) Launched {
		host, port, _ := strings.Cut(addr, ":")
		return Launched{Argv: slices.Concat([]string{s.debian(Debian, "websocketd"), "--address=" + host, "--port=" + port}, argv), URL: "ws://" + addr + "/"}
	})
}

// Provider starts the identity provider on a free port of 127.0.0.1 and returns when it accepts connections. Its URL is
// the issuer. The caller must Stop it; it is killed when ctx ends.
func (s *Set) Provider(ctx context.Context) (*Process, error) {
	return Launch(ctx, func(addr string) Launched {
		return Launched{
			Argv: []string{
				filepath.Join(s.dir, "runtime", "node_modules", "node24", "bin", "node"), filepath.Join(s.dir, filepath.FromSlash(providerScript)),
			},
			Env: []string{"LISTEN=" + addr}, URL: "http://" + addr,
		}
	})
}
