package mcpserver

import (
	"context"
	"errors"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// errOtherEra says that the upstream answered, and not in the era it was asked in.
var errOtherEra = errors.New("not the era it was asked in")

// ask sends a message of the gateway's own and returns a copy of the response.
func ask(ctx context.Context, l link, m *rpc.Message) (*rpc.Message, error) {
	source, err := l.send(ctx, ownExchange(m, l.hop()))
	if err != nil {
		return nil, err
	}
	reply := rpc.NewReply(source)
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		if err != nil {
			return nil, err
		}
		if m.IsResponse() {
			return m.Clone(), nil
		}
	}
}

// tell sends a notification of the gateway's own.
func tell(ctx context.Context, l link, m *rpc.Message) error {
	source, err := l.send(ctx, ownExchange(m, l.hop()))
	if err != nil {
		return err
	}
	return source.Close()
}

// discover sends the probe. A server that refuses the revision and offers it all the same, like one that is just being
// replaced by a newer one, is asked a second time (MCP 2026-07-28, Versioning): nothing else tells what it has.
func discover(ctx context.Context, l link, h hello) (*rpc.Message, error) {
	m, err := ask(ctx, l, discoverRequest(h))
	if err == nil && offersModern(m) {
		return ask(ctx, l, discoverRequest(h))
	}
	return m, err
}

// offersModern reports whether m refuses a revision and names a modern one that is spoken here.
func offersModern(m *rpc.Message) bool {
	return m.Err != nil && m.Err.Code == mcp.CodeUnsupportedVersion && mcp.PickModern(supported(m.Err)) != ""
}

// discoverRequest builds the probe (MCP 2026-07-28, Versioning): it is harmless, and no
// other request tells the eras apart so well. It declares all that any client can have, because it is
// made on behalf of all of them and cannot be answered by a question.
func discoverRequest(h hello) *rpc.Message {
	p := []byte(`{"_meta":{`)
	p = append(append(rpc.AppendString(p, mcp.MetaVersion), ':'), rpc.AppendString(nil, string(mcp.LatestModern))...)
	p = append(append(rpc.AppendString(append(p, ','), mcp.MetaCapabilities), ':'), mcp.AllAsking...)
	p = append(append(rpc.AppendString(append(p, ','), mcp.MetaClientInfo), ':'), h.info...)
	return rpc.NewRequest(rpc.NumberID(0), mcp.Discover, append(p, "}}"...))
}

// judgeDiscover says what the answer to the probe means: a description of the modern
// server that gave it, or errOtherEra. A modern error leaves the latest revision to try, as
// does a configuration that pins the era.
func judgeDiscover(m *rpc.Message, h hello, transport string) (*Description, error) {
	d := &Description{Transport: transport, Era: rpc.Modern, Revision: mcp.LatestModern}
	if m.Err == nil {
		if said := describeModern(m, transport); said != nil {
			return said, nil
		}
		return d, unlessPinned(h)
	}
	// A legacy SDK that knows the error for revisions answers with it too, naming legacy ones only.
	if code := m.Err.Code; code == mcp.CodeHeaderMismatch || code == mcp.CodeMissingCapability || offersModern(m) {
		return d, nil
	}
	return d, unlessPinned(h)
}

func unlessPinned(h hello) error {
	if h.pinned {
		return nil
	}
	return errOtherEra
}

// supported reads the revisions that an UnsupportedProtocolVersion error names.
func supported(e *rpc.WireError) []rpc.Revision {
	data, err := rpc.ReadObject(e.Data)
	if err != nil {
		return nil
	}
	text, ok := data.Get("supported")
	if !ok {
		return nil
	}
	return revisions(text)
}

// initializeRequest builds the legacy handshake (MCP 2025-11-25, Lifecycle).
func initializeRequest(h hello) *rpc.Message {
	p := append([]byte(`{"protocolVersion":`), rpc.AppendString(nil, string(mcp.LatestLegacy))...)
	p = append(p, `,"capabilities":`...)
	if h.caps == nil {
		p = append(p, "{}"...)
	}
	p = append(append(p, h.caps...), `,"clientInfo":`...)
	return rpc.NewRequest(rpc.NumberID(0), mcp.Initialize, append(append(p, h.info...), '}'))
}

// initialize shakes hands on a link that has just been connected. The error is
// errOtherEra if the upstream refuses the handshake as such.
func initialize(ctx context.Context, l link, h hello, f fault, transport string) (*Description, error) {
	m, err := ask(ctx, l, initializeRequest(h))
	if err != nil {
		return nil, err
	}
	if m.Err != nil {
		switch m.Err.Code {
		case mcp.CodeUnsupportedVersion, mcp.CodeMethodNotFound, mcp.CodeHeaderMismatch:
			return nil, errOtherEra
		}
		return nil, f.failed(m.Err, "refused initialize with error %d: %s", m.Err.Code, rpc.Excerpt(m.Err.Message))
	}
	d := describeLegacy(m, transport)
	if d == nil {
		version, _ := m.Get("protocolVersion")
		return nil, f.failed(nil, "agreed on protocol version %s, which is not spoken here", rpc.Excerpt(string(version)))
	}
	return d, nil
}
