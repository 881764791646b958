package mcpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/upstream"
)

const overWS = "ws"

// wsProtocol is what SDKs of MCP offer as the subprotocol; servers need not select it.
const wsProtocol = "mcp"

// wsDialer opens WebSockets to one URL. The protocol has no WebSocket transport of its own:
// what is spoken is what stdio speaks, one message a text frame instead of a line.
type wsDialer struct {
	s         *Server
	url       string
	header    http.Header
	dialer    websocket.Dialer
	maxResult int
}

var _ connector = (*wsDialer)(nil)

func newWSDialer(s *Server, deps Deps) (*duplexDialer, error) {
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	fields := configured(s.cfg.Headers)
	plain := *u // the same address and headers as those of a POST, checked in the same way
	plain.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	if _, err := upstream.NewEndpoint(&plain, fields); err != nil {
		return nil, err
	}
	u.Scheme = strings.Replace(plain.Scheme, "http", "ws", 1)
	d := &wsDialer{s: s, url: u.String(), maxResult: int(deps.MaxResult), header: http.Header{}}
	d.header.Set("User-Agent", deps.Identity.Name+"/"+deps.Identity.Version)
	for _, f := range fields {
		d.header.Set(f.Name, f.Value)
	}
	d.dialer = websocket.Dialer{
		NetDialContext:  new(net.Dialer).DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		Subprotocols:    []string{wsProtocol},
	}
	return &duplexDialer{s: s, name: overWS, connector: d}, nil
}

// connect implements [connector].
func (d *wsDialer) connect(ctx context.Context) (*duplex, error) {
	socket, resp, err := d.dialer.DialContext(ctx, d.url, d.header) //nolint:bodyclose // it need not be, and is no body
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, d.s.fault.timedOut(err, "did not accept the connection in time")
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		head, _ := io.ReadAll(resp.Body) // the beginning, which is all that the dialer keeps
		return nil, d.s.fault.refused(upstream.NewResponse(resp.StatusCode, resp.Header, -1, resp.Body), head)
	default:
		return nil, d.s.fault.exchangeFault(err, "cannot be reached")
	}
	c := newWSConn(d, socket)
	c.run()
	return c.duplex, nil
}

// explain implements [connector].
func (d *wsDialer) explain(ctx context.Context, _ *duplex, err error) error {
	return d.s.fault.late(ctx, err)
}
