package bridge

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// legacyNotFound is how legacy servers say that a resource does not exist; modern
// implementations must not emit it (MCP 2026-07-28, Errors).
const legacyNotFound = -32002

// toModern makes a legacy server's response one that a modern client can read.
func toModern(c *rpc.Call, m *rpc.Message) *rpc.Message {
	if m.Err != nil {
		return modernError(m)
	}
	if m.CheckBody() != nil {
		return m // no object: nothing can be added to it
	}
	if _, ok := m.Get("resultType"); !ok {
		m.Set("resultType", []byte(`"complete"`))
	}
	if c.Method.Cacheable {
		addLifetime(c, m)
	}
	return m
}

// addLifetime gives a result the cache hints that the modern era requires. A legacy
// server gives none, whatever members its result has, so nothing may be kept and nothing
// be shared.
func addLifetime(c *rpc.Call, m *rpc.Message) {
	if c.Record != nil {
		c.Record.Lifetime = &rpc.Lifetime{}
	}
	if _, ok := m.Get("ttlMs"); !ok {
		m.Set("ttlMs", []byte("0"))
	}
	if _, ok := m.Get("cacheScope"); !ok {
		m.Set("cacheScope", []byte(`"private"`))
	}
}

func modernError(m *rpc.Message) *rpc.Message {
	e := *m.Err
	switch e.Code {
	case legacyNotFound:
		e.Code = mcp.CodeInvalidParams
	case mcp.CodeURLElicitation:
		e.Code = mcp.CodeInternal
	default:
		return m
	}
	return rpc.NewError(m.ID, &e)
}
