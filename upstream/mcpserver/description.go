package mcpserver

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxTTL bounds how long an upstream can ask to be believed.
const maxTTL = 24 * time.Hour

// Description is what an upstream says of itself. It is shared and must not be changed.
type Description struct {
	Transport    string          // "http", "stdio", "sse" or "ws"
	Era          rpc.Era         // what is spoken with it; of a server of both eras, modern
	Revision     rpc.Revision    // the revision agreed on
	ServerInfo   json.RawMessage // its Implementation object; nil if it gave none
	Capabilities json.RawMessage // its ServerCapabilities object
	Instructions string
	TTL          time.Duration // how long it may be believed; 0 if it did not say

	bothEras bool // a modern server that names legacy revisions too
}

// describeModern reads a DiscoverResult (MCP 2026-07-28, Discovery). It returns nil
// for a result that is none, or one that offers no revision that is spoken here: some
// legacy servers answer whatever they are asked.
func describeModern(m *rpc.Message, transport string) *Description {
	offered := versions(m, "supportedVersions")
	revision := mcp.PickModern(offered)
	if revision == "" {
		return nil
	}
	d := &Description{Transport: transport, Era: rpc.Modern, Revision: revision, bothEras: slices.ContainsFunc(offered, isLegacy)}
	d.Capabilities = objectMember(m.Get("capabilities"))
	d.ServerInfo = objectMember(m.Meta(mcp.MetaServerInfo))
	d.Instructions, _ = m.Text("instructions")
	if ttl, ok := m.Get("ttlMs"); ok {
		if ms, err := strconv.ParseUint(string(ttl), 10, 32); err == nil {
			d.TTL = min(time.Duration(ms)*time.Millisecond, maxTTL)
		}
	}
	return d
}

// describeLegacy reads an InitializeResult (MCP 2025-11-25, Lifecycle). It returns nil for one
// that names no legacy revision that is known here.
func describeLegacy(m *rpc.Message, transport string) *Description {
	version, _ := m.Text("protocolVersion")
	if !isLegacy(rpc.Revision(version)) {
		return nil
	}
	d := &Description{Transport: transport, Era: rpc.Legacy, Revision: rpc.Revision(version)}
	d.Capabilities = objectMember(m.Get("capabilities"))
	d.ServerInfo = objectMember(m.Get("serverInfo"))
	d.Instructions, _ = m.Text("instructions")
	return d
}

func isLegacy(r rpc.Revision) bool {
	t, ok := mcp.Of(r)
	return ok && t.Era == rpc.Legacy
}

// versions reads an array of revisions.
func versions(m *rpc.Message, name string) []rpc.Revision {
	text, ok := m.Get(name)
	if !ok {
		return nil
	}
	return revisions(text)
}

func revisions(text json.RawMessage) []rpc.Revision {
	items, err := rpc.Elements(text)
	if err != nil {
		return nil
	}
	var out []rpc.Revision
	for _, item := range items {
		if s, err := rpc.Unquote(item); err == nil {
			out = append(out, rpc.Revision(s))
		}
	}
	return out
}

// objectMember returns a copy of a member that is an object, else nil.
func objectMember(v json.RawMessage, ok bool) json.RawMessage {
	if !ok || v[0] != '{' {
		return nil
	}
	return bytes.Clone(v)
}

// promises reports whether the server declared a capability with a member that is true.
func (d *Description) promises(capability, member string) bool {
	v, _ := d.declared(capability, member)
	return string(v) == "true"
}

// offers reports whether the server declared a capability with a member, whatever it is.
func (d *Description) offers(capability, member string) bool {
	_, ok := d.declared(capability, member)
	return ok
}

// has reports whether the server declared a capability.
func (d *Description) has(capability string) bool {
	_, ok := memberOf(d.Capabilities, capability)
	return ok
}

// declared returns a member of a capability.
func (d *Description) declared(capability, member string) (json.RawMessage, bool) {
	text, _ := memberOf(d.Capabilities, capability)
	return memberOf(text, member)
}

func memberOf(object json.RawMessage, name string) (json.RawMessage, bool) {
	o, err := rpc.ReadObject(object)
	if err != nil {
		return nil, false
	}
	return o.Get(name)
}

// extends reports whether the server declared an extension.
func (d *Description) extends(name string) bool { return d.offers("extensions", name) }
