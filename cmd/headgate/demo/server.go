package demo

import (
	"encoding/json"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// identity is how a server introduces itself.
type identity struct{ name, title, instructions string }

// implementation is the identity on the wire.
type implementation struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version string `json:"version"`
}

// server is what both eras share: who it is and its tools.
type server struct {
	identity
	info  implementation
	tools []*tool
}

func newServer(id identity, tools []*tool) server {
	return server{identity: id, info: implementation{Name: id.name, Title: id.title, Version: "1.0.0"}, tools: tools}
}

// capabilities declares tools that never change.
var capabilities = json.RawMessage(`{"tools":{}}`)

// find returns the tool that a tools/call names, and the arguments it brings. The error is the client's (MCP 2025-11-25, Tools,
// Error Handling: an unknown tool is a protocol error, wrong arguments are the tool's to complain about).
func (s *server) find(m *rpc.Message) (*tool, json.RawMessage, *rpc.Error) {
	name, ok := m.Text("name")
	if !ok {
		return nil, nil, rpc.Errorf(rpc.InvalidParams, "params.name must be a string")
	}
	i := slices.IndexFunc(s.tools, func(t *tool) bool { return t.Name == name })
	if i < 0 {
		return nil, nil, rpc.Errorf(rpc.InvalidParams, "unknown tool: %s", rpc.Excerpt(name))
	}
	arguments, ok := m.Get("arguments")
	switch {
	case !ok || string(arguments) == "null": // some clients write what they do not have
		return s.tools[i], nil, nil
	case arguments[0] != '{':
		return nil, nil, rpc.Errorf(rpc.InvalidParams, "params.arguments must be an object")
	}
	return s.tools[i], arguments, nil
}

// onlyPage refuses cursors: every list here is one page, so none was ever handed out.
func onlyPage(m *rpc.Message) *rpc.Error {
	if _, ok := m.Get("cursor"); ok {
		return rpc.Errorf(rpc.InvalidParams, "unknown cursor")
	}
	return nil
}

func unknownMethod(m *rpc.Message) *rpc.Error {
	return rpc.Errorf(rpc.MethodNotFound, "unknown method: %s", rpc.Excerpt(m.Method))
}

// progressToken returns the client's token for a request's progress, if it wants to be told.
func progressToken(m *rpc.Message) (json.RawMessage, bool) {
	token, ok := m.Meta(mcp.MetaProgress)
	return token, ok && mcp.IsProgressToken(token)
}
