package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

const overSSE = "sse"

// errForeign says that a server wants messages sent to another origin, which the
// credentials in the headers are not for.
var errForeign = errors.New("its endpoint has another origin")

// sseDialer opens sessions of HTTP+SSE (MCP 2024-11-05, Transports): one event stream for all
// that the server says, and a POST for each message to it.
type sseDialer struct {
	*httpDialer
	stream *upstream.Endpoint
}

var _ connector = (*sseDialer)(nil)

func newSSEDialer(s *Server, deps Deps) (*duplexDialer, error) {
	h, err := newHTTPDialer(s, deps)
	if err != nil {
		return nil, err
	}
	d := &sseDialer{httpDialer: h}
	if d.stream, err = h.endpoint(); err != nil {
		return nil, err
	}
	return &duplexDialer{s: s, name: overSSE, connector: d}, nil
}

// connect implements [connector]: it opens the stream and waits until the server has said
// where to send messages. The stream then ends with the server's lifetime, not with ctx.
func (d *sseDialer) connect(ctx context.Context) (*duplex, error) {
	life, end := context.WithCancelCause(d.s.life)
	unbind := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	c, err := d.subscribe(life, end)
	if !unbind() {
		err = d.s.fault.timedOut(context.Cause(ctx), "did not open its event stream in time")
	}
	if err != nil {
		end(err)
		return nil, err
	}
	c.run()
	return c.duplex, nil
}

func (d *sseDialer) subscribe(life context.Context, end context.CancelCauseFunc) (*sseConn, error) {
	resp, err := d.client.Do(life, &upstream.Request{Method: http.MethodGet, Endpoint: d.stream})
	if err != nil {
		return nil, d.s.fault.exchangeFault(err, "cannot be reached")
	}
	c := newSSEConn(life, d, end, resp)
	if c.post, err = d.greet(c); err != nil {
		_ = resp.Close()
		return nil, err
	}
	return c, nil
}

// greet reads the first event, which names the endpoint for messages.
func (d *sseDialer) greet(c *sseConn) (*upstream.Endpoint, error) {
	switch {
	case c.resp.Status < 200 || c.resp.Status >= 300:
		return nil, d.s.fault.refused(c.resp, nil)
	case mediaType(c.resp) != typeEvents:
		return nil, d.s.fault.failed(nil, "answered with content of type %s where HTTP+SSE has an event stream", rpc.Excerpt(mediaType(c.resp)))
	}
	for {
		ev, err := c.events.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			return nil, d.s.fault.failed(err, "names no endpoint for messages")
		case errors.Is(err, io.EOF):
			return nil, d.s.fault.down(io.ErrUnexpectedEOF, "ended its event stream before it began")
		case err != nil:
			return nil, d.s.fault.exchangeFault(err, "broke off its event stream")
		case ev.Name == "endpoint":
			return d.messages(string(ev.Data))
		case ev.Data != nil:
			return nil, d.s.fault.failed(nil, "names no endpoint for messages")
		}
	}
}

// messages resolves the endpoint that the server named. One of another origin would be sent the
// headers of the configuration, which may hold credentials.
func (d *sseDialer) messages(reference string) (*upstream.Endpoint, error) {
	to, err := d.url.Parse(reference)
	if err != nil {
		return nil, d.s.fault.failed(err, "names an endpoint for messages that is no URL")
	}
	if !sameOrigin(d.url, to) {
		return nil, d.s.fault.failed(errForeign, "names an endpoint for messages of another origin than its own")
	}
	at, err := upstream.NewEndpoint(to, slices.Concat(d.fixed, []upstream.Field{{Name: "Content-Type", Value: typeJSON}}))
	if err != nil {
		return nil, d.s.fault.failed(err, "names an endpoint for messages that cannot be used")
	}
	return at, nil
}

// sameOrigin compares scheme, host and port (RFC 6454 §5).
func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case u.Scheme == "https":
			return "443"
		}
		return "80"
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b) && b.User == nil
}

// explain implements [connector].
func (d *sseDialer) explain(ctx context.Context, _ *duplex, err error) error {
	return d.s.fault.late(ctx, err)
}
