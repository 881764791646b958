package rpc

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"
)

// Revision is one dated version of a protocol, such as "2025-11-25". What it can
// and cannot do is a row of traits in its dialect; nothing compares revisions.
type Revision string

// Era says how peers of a revision open a conversation.
type Era uint8

// The eras.
const (
	Legacy Era = iota // a handshake and a session (up to 2025-11-25)
	Modern            // stateless; each request says who asks (from 2026-07-28)
)

// String returns "legacy" or "modern".
func (e Era) String() string {
	if e == Modern {
		return "modern"
	}
	return "legacy"
}

// Dialect names a method table and an error table.
type Dialect string

// The dialects.
const (
	MCP   Dialect = "mcp"   // the Model Context Protocol
	Infer Dialect = "infer" // of models: prompts in, text out
)

// Dest says who answers a method.
type Dest uint8

// Who answers a method.
const (
	Gateway Dest = iota // the gateway itself
	Owner               // the upstream that owns the name in the params
	Every               // all upstreams of the endpoint, merged
	Holder              // whoever holds the session or the call the message belongs to
)

// Field names the member of the params that says what a call is about.
type Field string

// Method is a row of a dialect's method table.
type Method struct {
	Name         string
	Dest         Dest
	Idempotent   bool     // may be sent again when it is unknown whether it ran
	Cacheable    bool     // its result carries or may be given a lifetime
	Subject      Field    // the member that names the target; empty if none does
	Since, Until Revision // first and last revision that has it; empty means unbounded
}

// Call is one client message on its way in. The edge makes it, authentication
// adds the principal, the router adds the target; from then on it is read-only and
// whoever must change it passes on a copy.
type Call struct {
	Message  *Message
	Method   *Method // never nil; a row made up for methods that are in no table
	Dialect  Dialect
	Received time.Time
	Endpoint string // the path the client used
	Host     string // the Host header
	Header   http.Header
	Bare     bool // Header is the connection's: no field of it mirrors this message (SEP-2243)
	Remote   netip.AddrPort
	TLS      *tls.ConnectionState

	Client    Client
	Principal Principal
	Target    Target
	Route     *Route  // of the rule that the call matches; nil if none does
	Record    *Record // shared by copies of the call; may be nil
	Stopper   Stopper // ends it for others than its client; nil where nobody can
	Flight    Flight  // its place in a session, which it takes when it is known whose call it is; nil where it has none
}

// Flight is the place of a call among those of its session that are in flight.
type Flight interface {
	// Take takes the place. The error says why there is none.
	Take() error
	// Cancel cancels another call of the session that is in flight, by its client's id. It returns false if there is none.
	Cancel(id ID) bool
}

// Stopper ends a call before it has ended by itself.
type Stopper interface {
	// Stop ends the call: what waits for anything in it gets the cause as its error. It
	// may be called at any time, by any goroutine, and does nothing to a call that has ended.
	Stop(cause error)
}

// StopFunc is a function that is a [Stopper], such as that which ends a context.
type StopFunc func(cause error)

// Stop calls f.
func (f StopFunc) Stop(cause error) { f(cause) }

// Detach returns a copy of a call that does not lie in the memory of its request, so
// that it can outlive that.
func (c *Call) Detach() *Call {
	out := *c
	out.Message = c.Message.Clone()
	out.Header = http.Header{}
	out.TLS = nil
	out.Stopper = nil
	out.Client.Info = bytes.Clone(c.Client.Info)
	out.Client.Capabilities = bytes.Clone(c.Client.Capabilities)
	return &out
}

// Client is what a client said of itself.
type Client struct {
	Revision     Revision
	Era          Era
	Session      string          // the session's key inside the gateway; empty for who has none
	LogLevel     string          // the least severe log messages it wants: in this request, or for its session; empty if it did not say
	Info         json.RawMessage // Implementation object, or nil
	Capabilities json.RawMessage // ClientCapabilities object, or nil
}

// Principal is who calls. It comes from a credential and is never read from a
// header the client chose. The zero Principal is anonymous.
type Principal struct {
	Org, Team, Key, User string
	Scopes               []string
	Expires              time.Time
}

// AppendIdentity appends a text for who the principal is, another one for each. What
// changes when a credential is renewed is left out.
func (p *Principal) AppendIdentity(dst []byte) []byte {
	for _, part := range [...]string{p.Org, p.Team, p.Key, p.User} {
		dst = append(binary.AppendUvarint(dst, uint64(len(part))), part...)
	}
	return dst
}

// Kind says what a target is.
type Kind uint8

// The kinds of target.
const (
	None Kind = iota
	Tool
	Prompt
	Resource
	Task
	Model
)

// Target is what a call is about, resolved.
type Target struct {
	Kind         Kind
	Exposed      string // the name the client used
	Canonical    string // the name rules match
	Upstream     string // who serves it
	Owner        string // whose the name is, where that is not who serves it: a rule chose another one
	Own          string // its name at both
	Merged       bool   // the client sees other upstreams beside this one
	Unlisted     bool   // nobody lists the name, which goes to its upstream as the client wrote it
	Idempotent   bool
	Cacheable    bool
	Task         bool // a tool that a legacy server runs as a task, and not otherwise (MCP 2025-11-25, Tasks)
	ParamHeaders []ParamHeader
}

// Whose returns the upstream whose the name is, which clients find it under.
func (t *Target) Whose() string {
	if t.Owner != "" {
		return t.Owner
	}
	return t.Upstream
}

// ParamHeader is an argument that a modern upstream wants mirrored in a header
// (SEP-2243): Mcp-Param-Name, and the path of properties to the argument.
type ParamHeader struct {
	Name string
	Path []string
}
