package mcpserver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// probeTimeout is how long a server may leave the probe unanswered before it is
// taken for a legacy one that ignores what it does not know.
const probeTimeout = 3 * time.Second

// connector makes the connections of a transport that carries both eras over one
// channel each way, but each connection only one of them.
type connector interface {
	// connect returns a connection on which nothing was said yet.
	connect(ctx context.Context) (*duplex, error)
	// explain says why a handshake failed on a connection.
	explain(ctx context.Context, c *duplex, err error) error
}

// duplexDialer shakes hands over the connections of one upstream.
type duplexDialer struct {
	connector
	s    *Server
	name string // of the transport

	mu    sync.Mutex
	spare *duplex // a connection without a handshake, left by the probe
}

var _ dialer = (*duplexDialer)(nil)

func (d *duplexDialer) transport() string { return d.name }

// open implements [dialer]: it shakes hands on the connection that the probe left, or on
// a new one.
func (d *duplexDialer) open(ctx context.Context, era rpc.Era, h hello) (link, error) {
	c, err := d.unspoken(ctx)
	if err != nil {
		return nil, err
	}
	c.spoken.Store(newHop(era, "", h.info, h.caps))
	c.mu.Lock()
	c.turns = h.turns
	c.mu.Unlock()
	var about *Description
	if era == rpc.Modern {
		about, err = d.discover(ctx, c, h)
	} else {
		about, err = d.initialize(ctx, c, h)
	}
	switch {
	case errors.Is(err, errOtherEra):
		d.leave(c)
		return nil, err
	case err != nil:
		d.abort(c)
		return nil, d.explain(ctx, c, err)
	}
	c.about.Store(about)
	c.spoken.Store(newHop(era, about.Revision, h.info, h.caps))
	if era == rpc.Legacy {
		if err := tell(ctx, c, rpc.NewNotification(mcp.Initialized, nil)); err != nil {
			d.abort(c)
			return nil, err
		}
	}
	return c, nil
}

// discover probes a server (MCP 2026-07-28, stdio). Legacy servers answer with any
// error, with nothing, or by ending.
func (d *duplexDialer) discover(ctx context.Context, c *duplex, h hello) (*Description, error) {
	probe := ctx
	if !h.known {
		within, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		probe = within
	}
	m, err := discover(probe, c, h)
	switch {
	case err == nil:
		return judgeDiscover(m, h, d.name)
	case h.known || ctx.Err() != nil:
		return nil, err
	}
	c.unanswered = true
	return nil, errOtherEra
}

// initialize shakes hands with a server. One that left the probe unanswered may have been slow to start rather than deaf:
// it then takes the probe for the beginning of its conversation and refuses a second one, so the probe is repeated.
func (d *duplexDialer) initialize(ctx context.Context, c *duplex, h hello) (*Description, error) {
	about, err := initialize(ctx, c, h, d.s.fault, d.name)
	if _, refused := errors.AsType[*rpc.WireError](err); refused && c.unanswered {
		c.unanswered = false
		return nil, errOtherEra
	}
	return about, err
}

// unspoken returns a live connection on which no hands were shaken.
func (d *duplexDialer) unspoken(ctx context.Context) (*duplex, error) {
	d.mu.Lock()
	c := d.spare
	d.spare = nil
	d.mu.Unlock()
	if c != nil && c.alive() {
		return c, nil
	}
	return d.connect(ctx)
}

// leave keeps a connection for a handshake in the other era.
func (d *duplexDialer) leave(c *duplex) {
	d.mu.Lock()
	old := d.spare
	d.spare = c
	d.mu.Unlock()
	if old != nil {
		d.abort(old)
	}
}

// abort ends a connection that is of no use.
func (d *duplexDialer) abort(c *duplex) { d.s.retire([]link{c}) }

// close implements [dialer].
func (d *duplexDialer) close(ctx context.Context) {
	d.mu.Lock()
	c := d.spare
	d.spare = nil
	d.mu.Unlock()
	if c != nil {
		c.close(ctx)
	}
}
