package mcp

import (
	"encoding/json"

	"github.com/headgate/headgate/rpc"
)

// Keys of _meta that belong to the hop (MCP 2026-07-28, Basic, _meta).
const (
	MetaVersion      = "io.modelcontextprotocol/protocolVersion"
	MetaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	MetaClientInfo   = "io.modelcontextprotocol/clientInfo"
	MetaLogLevel     = "io.modelcontextprotocol/logLevel"
	MetaServerInfo   = "io.modelcontextprotocol/serverInfo"
	MetaSubscription = "io.modelcontextprotocol/subscriptionId"
	MetaProgress     = "progressToken"
)

// RequestKeys are the keys of a modern request's _meta that a legacy server must
// not be shown: some reject what they do not know.
var RequestKeys = []string{MetaVersion, MetaCapabilities, MetaClientInfo, MetaLogLevel}

// ClientOf reads what a modern request says of its sender. The error is the one to
// answer with: InvalidParams for a missing or malformed key, UnsupportedVersion for
// a revision that is not known.
func ClientOf(m *rpc.Message) (rpc.Client, error) {
	version, ok := m.MetaText(MetaVersion)
	if !ok {
		return rpc.Client{}, rpc.Errorf(rpc.InvalidParams, "params._meta needs the string %q", MetaVersion)
	}
	if !IsModern(rpc.Revision(version)) {
		return rpc.Client{}, Unsupported(version)
	}
	caps, ok := m.Meta(MetaCapabilities)
	if !ok || caps[0] != '{' {
		return rpc.Client{}, rpc.Errorf(rpc.InvalidParams, "params._meta needs the object %q", MetaCapabilities)
	}
	c := rpc.Client{Revision: rpc.Revision(version), Era: rpc.Modern, Capabilities: caps}
	if info, ok := m.Meta(MetaClientInfo); ok {
		if info[0] != '{' {
			return rpc.Client{}, rpc.Errorf(rpc.InvalidParams, "params._meta needs an object as %q", MetaClientInfo)
		}
		c.Info = info
	}
	if err := CheckIdentity(&c); err != nil {
		return rpc.Client{}, err
	}
	if level, ok := m.Meta(MetaLogLevel); ok {
		if c.LogLevel, ok = m.MetaText(MetaLogLevel); !ok || Severity(c.LogLevel) == 0 {
			return rpc.Client{}, rpc.Errorf(rpc.InvalidParams, "%s is no log level: %s", MetaLogLevel, rpc.Excerpt(string(level)))
		}
	}
	return c, nil
}

// maxIdentity bounds the bytes of the info and the capabilities of one client. They are
// kept for longer than a request: by sessions (whose store takes a little more), lists and
// connections upstream.
const maxIdentity = 64 << 10

// CheckIdentity refuses clients that say too much of themselves.
func CheckIdentity(c *rpc.Client) error {
	if len(c.Info)+len(c.Capabilities) > maxIdentity {
		return rpc.Errorf(rpc.InvalidParams, "clientInfo and capabilities exceed %d bytes", maxIdentity)
	}
	return nil
}

// Unsupported is the error for a revision that is not spoken here. Its data names
// those that are (MCP 2026-07-28, Versioning).
func Unsupported(requested string) *rpc.Error {
	e := rpc.Errorf(rpc.UnsupportedVersion, "protocol version %s is not supported", rpc.Excerpt(requested))
	e.Data = map[string]any{"supported": Supported(), "requested": requested}
	return e
}

// IsProgressToken reports whether the text is a string or a number.
func IsProgressToken(v json.RawMessage) bool {
	return len(v) > 0 && (v[0] == '"' || v[0] == '-' || '0' <= v[0] && v[0] <= '9')
}
