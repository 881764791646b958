package mcpserver

import (
	"bytes"
	"encoding/json"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// hop is what is the same for all messages on a link.
type hop struct {
	era      rpc.Era
	revision rpc.Revision
	version  []byte          // the revision as a JSON string
	identity []byte          // the gateway's own Implementation object
	caps     json.RawMessage // what a legacy upstream was told of the clients; nil if nothing

	level atomic.Int32 // the severity from which on a legacy upstream was told to log; 0 if it was not
}

func newHop(era rpc.Era, r rpc.Revision, identity []byte, caps json.RawMessage) *hop {
	return &hop{era: era, revision: r, version: rpc.AppendString(nil, string(r)), identity: identity, caps: caps}
}

// judgeQuestion says what becomes of a request that the upstream sent.
func (h *hop) judgeQuestion(m *rpc.Message) verdict {
	switch {
	case h.era == rpc.Modern:
		return discard // servers send no requests (MCP 2026-07-28, Basic)
	case m.Method == mcp.Ping:
		return pong
	case !mcp.MayAsk(h.caps, m.Method):
		return deny
	}
	return relay
}

// shape returns the call's message as the upstream has to get it, but for its id: a
// fork, since the client's own message stays as it is.
func shape(c *rpc.Call, h *hop) *rpc.Message {
	m := c.Message.Fork()
	if field := string(c.Method.Subject); field != "" && c.Target.Own != "" {
		if name, _ := c.Message.Text(field); name != c.Target.Own {
			m.Set(field, rpc.AppendString(nil, c.Target.Own))
		}
	}
	if h.era == rpc.Modern {
		if c.Client.Era == rpc.Legacy && c.Method.Name == mcp.ToolsCall {
			withoutTask(m)
		}
		introduce(m, c, h)
		return m
	}
	conceal(m)
	switch c.Method.Name {
	case mcp.Complete:
		withoutContext(m, h.revision)
	case mcp.ToolsCall:
		withoutTask(m)
	}
	return m
}

// withoutContext drops what revisions before 2025-06-18 do not have: what was chosen
// for other arguments (MCP 2025-06-18, Completion).
func withoutContext(m *rpc.Message, r rpc.Revision) {
	if traits, known := mcp.Of(r); !known || traits.Context {
		return
	}
	if _, ok := m.Get("context"); ok {
		m.Drop("context")
	}
}

// withoutTask drops that a client wants a task: the gateway does not declare tasks, and a receiver that does not
// must take such a request for any other (MCP 2025-11-25, Tasks).
func withoutTask(m *rpc.Message) {
	if _, ok := m.Get("task"); ok {
		m.Drop("task")
	}
}

// introduce puts what a modern request says of its sender into _meta (MCP
// 2026-07-28, Basic, _meta). What a modern client said itself stays; of a
// legacy client's capabilities those are passed on that can be made good on.
func introduce(m *rpc.Message, c *rpc.Call, h *hop) {
	if m.IsNotification() {
		return
	}
	if v, ok := m.Meta(mcp.MetaVersion); !ok || !bytes.Equal(v, h.version) {
		m.SetMeta(mcp.MetaVersion, h.version)
	}
	caps, has := m.Meta(mcp.MetaCapabilities)
	switch {
	case c.Client.Era == rpc.Modern && c.Client.Capabilities != nil:
		if !bytes.Equal(caps, c.Client.Capabilities) {
			m.SetMeta(mcp.MetaCapabilities, c.Client.Capabilities)
		}
	case c.Client.Era == rpc.Legacy && len(c.Client.Capabilities) > 0:
		m.SetMeta(mcp.MetaCapabilities, mcp.Carried(c.Client))
	case !has || c.Client.Era == rpc.Legacy:
		m.SetMeta(mcp.MetaCapabilities, []byte("{}"))
	}
	if _, ok := m.Meta(mcp.MetaClientInfo); !ok || c.Client.Era == rpc.Legacy {
		m.SetMeta(mcp.MetaClientInfo, infoOf(c.Client, h.identity))
	}
	if c.Client.Era == rpc.Legacy && c.Client.LogLevel != "" {
		m.SetMeta(mcp.MetaLogLevel, rpc.AppendString(nil, c.Client.LogLevel))
	}
}

// infoOf returns how a client introduces itself, or the gateway where it does not.
func infoOf(c rpc.Client, identity []byte) []byte {
	if len(c.Info) > 0 && c.Info[0] == '{' {
		return c.Info
	}
	return identity
}

// conceal removes what only a modern server understands: legacy ones may refuse keys
// that they do not know. A _meta that held nothing else goes with them.
func conceal(m *rpc.Message) {
	for _, name := range mcp.InputMembers {
		if _, ok := m.Get(name); ok {
			m.Drop(name)
		}
	}
	found := 0
	for _, key := range mcp.RequestKeys {
		if _, ok := m.Meta(key); ok {
			m.DropMeta(key)
			found++
		}
	}
	if found == 0 {
		return
	}
	text, _ := m.Get("_meta")
	if o, err := rpc.ReadObject(text); err == nil && o.Len() == found {
		m.Drop("_meta")
	}
}
