package bridge

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// toLegacy makes a modern server's response one that a legacy client can read.
func toLegacy(c *rpc.Call, m *rpc.Message) *rpc.Message {
	if m.Err != nil {
		return legacyError(c, m)
	}
	if m.CheckBody() != nil {
		return m
	}
	if kind, ok := m.Text("resultType"); ok && kind != "complete" {
		return failed(c, m, "it answered "+rpc.Excerpt(kind)+", which this client cannot take part in")
	}
	if c.Method.Cacheable && c.Record != nil {
		c.Record.Lifetime = mcp.LifetimeOf(m, mcp.LatestModern)
	}
	for _, name := range []string{"resultType", "ttlMs", "cacheScope"} {
		if _, ok := m.Get(name); ok {
			m.Drop(name)
		}
	}
	dropServerInfo(m)
	textForStructured(m)
	return m
}

// dropServerInfo removes the modern server's introduction, and the _meta that held
// nothing else.
func dropServerInfo(m *rpc.Message) {
	if _, ok := m.Meta(mcp.MetaServerInfo); !ok {
		return
	}
	text, _ := m.Get("_meta")
	if o, err := rpc.ReadObject(text); err == nil && o.Len() == 1 {
		m.Drop("_meta")
		return
	}
	m.DropMeta(mcp.MetaServerInfo)
}

// textForStructured replaces structured content that is no object, which legacy
// clients refuse, by a block of text that says the same.
func textForStructured(m *rpc.Message) {
	value, ok := m.Get("structuredContent")
	if !ok || value[0] == '{' {
		return
	}
	content, ok := m.Get("content")
	if !ok || content[0] != '[' {
		content = json.RawMessage("[]")
	}
	blocks, err := rpc.Elements(content)
	if err != nil {
		return
	}
	m.Drop("structuredContent")
	if slices.ContainsFunc(blocks, isText) {
		return
	}
	block := rpc.AppendString([]byte(`{"type":"text","text":`), string(value))
	out := slices.Clone(content[:len(content)-1])
	if len(blocks) > 0 {
		out = append(out, ',')
	}
	m.Set("content", append(append(out, block...), "}]"...))
}

func isText(block json.RawMessage) bool {
	o, err := rpc.ReadObject(block)
	if err != nil {
		return false
	}
	kind, _ := o.Text("type")
	return kind == "text"
}

// legacyError puts a modern error in terms of the legacy era. What went wrong
// between the gateway and the upstream is not the client's to mend.
func legacyError(c *rpc.Call, m *rpc.Message) *rpc.Message {
	switch m.Err.Code {
	case mcp.CodeInvalidParams:
		if c.Method.Name != mcp.ResourcesRead {
			return m
		}
		e := *m.Err
		e.Code = legacyNotFound
		return rpc.NewError(m.ID, &e)
	case mcp.CodeHeaderMismatch, mcp.CodeUnsupportedVersion:
		return failed(c, m, "it refused the gateway's request: "+rpc.Excerpt(m.Err.Message))
	case mcp.CodeMissingCapability:
		return lacking(c, m)
	}
	return m
}

// lacking tells a client which capabilities a modern server wants it to have (MCP
// 2026-07-28, Errors). One that has them is of a revision in which they mean something else.
func lacking(c *rpc.Call, m *rpc.Message) *rpc.Message {
	data, _ := rpc.ReadObject(m.Err.Data)
	wanted, _ := data.Get("requiredCapabilities")
	why := "needs capabilities that its client has not declared: "
	if len(wanted) > 0 && declares(c.Client.Capabilities, wanted) {
		why = "needs capabilities of its client that cannot be carried between revisions: "
	}
	return failure(c, m.ID, why+rpc.Excerpt(string(wanted)))
}

// declares reports whether capabilities have all members of those wanted.
func declares(capabilities, wanted json.RawMessage) bool {
	w, err := rpc.ReadObject(wanted)
	if err != nil {
		return true
	}
	o, err := rpc.ReadObject(capabilities)
	all := err == nil
	w.Each(func(name string, value json.RawMessage) bool {
		own, ok := o.Get(name)
		all = all && ok && declares(own, value)
		return all
	})
	return all
}

// failure ends a legacy client's call for a reason that is neither the upstream's fault nor the
// gateway's: a tool's model gets to read it.
func failure(c *rpc.Call, id rpc.ID, why string) *rpc.Message {
	text := "upstream " + strconv.Quote(c.Target.Upstream) + " " + why
	if c.Method.Name != mcp.ToolsCall {
		return rpc.NewError(id, &rpc.WireError{Code: mcp.CodeInternal, Message: text})
	}
	return toolFailure(id, text, "")
}

func failed(c *rpc.Call, m *rpc.Message, why string) *rpc.Message {
	e := rpc.Errorf(rpc.UpstreamFailed, "upstream %q could not serve the call: %s", c.Target.Upstream, why)
	e.Upstream = c.Target.Upstream
	return rpc.NewError(m.ID, mcp.Failure(e))
}
