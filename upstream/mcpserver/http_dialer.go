package mcpserver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

const overHTTP = "http"

// httpDialer opens links to one URL.
type httpDialer struct {
	s         *Server
	client    upstream.Doer
	url       *url.URL
	fixed     []upstream.Field // header fields of every request
	maxResult int
	pool      *pool
	readers   sync.Pool // of *frame.SSEReader
}

func newHTTPDialer(s *Server, deps Deps) (*httpDialer, error) {
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	d := &httpDialer{s: s, client: deps.HTTP, pool: &shared, url: u, maxResult: int(deps.MaxResult)}
	d.fixed = append(d.fixed,
		upstream.Field{Name: "User-Agent", Value: deps.Identity.Name + "/" + deps.Identity.Version},
		upstream.Field{Name: "Accept", Value: "application/json, text/event-stream"})
	d.fixed = append(d.fixed, configured(s.cfg.Headers)...)
	if _, err := d.endpoint(); err != nil {
		return nil, err
	}
	d.readers.New = func() any { return frame.NewSSEReader(nil, d.maxResult) }
	return d, nil
}

// configured returns the header fields that the configuration adds, sorted. Those of the
// protocol are the gateway's to set.
func configured(headers map[string]config.Secret) []upstream.Field {
	var out []upstream.Field
	for name, value := range headers {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Content-Type", mcp.HeaderVersion, mcp.HeaderSession, mcp.HeaderMethod, mcp.HeaderName, mcp.HeaderLastEvent:
			continue
		}
		out = append(out, upstream.Field{Name: name, Value: value.Reveal()})
	}
	slices.SortFunc(out, func(a, b upstream.Field) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// endpoint renders the constant part of a kind of request.
func (d *httpDialer) endpoint(more ...upstream.Field) (*upstream.Endpoint, error) {
	return upstream.NewEndpoint(d.url, slices.Concat(d.fixed, more))
}

func (d *httpDialer) transport() string     { return overHTTP }
func (d *httpDialer) close(context.Context) {}

// open implements [dialer].
func (d *httpDialer) open(ctx context.Context, era rpc.Era, h hello) (link, error) {
	if era == rpc.Modern {
		return d.openModern(ctx, h)
	}
	return d.openLegacy(ctx, h)
}

// openModern asks the server who it is.
func (d *httpDialer) openModern(ctx context.Context, h hello) (link, error) {
	l, err := newModernHTTP(d, h)
	if err != nil {
		return nil, err
	}
	if err := l.discover(ctx, h); err != nil {
		return nil, err
	}
	return l, nil
}

// openLegacy opens a session.
func (d *httpDialer) openLegacy(ctx context.Context, h hello) (link, error) {
	l, err := newLegacyHTTP(d, h)
	if err != nil {
		return nil, err
	}
	about, err := initialize(ctx, l, h, d.s.fault, overHTTP)
	if err == nil {
		err = l.begin(ctx, about)
	}
	if err != nil {
		d.s.retire([]link{l})
		return nil, d.s.fault.late(ctx, err)
	}
	return l, nil
}
