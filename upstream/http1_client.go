package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Doer sends requests. Adapters ask for it rather than for a Client, so that tests can put their own in its place.
type Doer interface {
	Do(ctx context.Context, req *Request) (*Response, error)
}

var _ Doer = (*Client)(nil)

// ClientConfig has a Client's parts and bounds. Zero values mean the defaults.
type ClientConfig struct {
	// DialContext opens connections; by default a net.Dialer does.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver looks up names, at intervals too; by default net.DefaultResolver does. A DialContext of one's own does its own look-ups.
	Resolver *net.Resolver
	// TLS is for https. Its protocols are replaced by http/1.1, and its server name, if empty, is the URL's host.
	TLS *tls.Config
	// MaxIdlePerHost is how many idle connections are kept to one host and port. Default 512.
	MaxIdlePerHost int
	// IdleTimeout is how long they are kept. Default 90 s; less where the server says so by Keep-Alive.
	IdleTimeout time.Duration
	// DialTimeout bounds connecting, TLS included. Default 10 s.
	DialTimeout time.Duration
	// HeaderTimeout bounds the wait for a response's header. By default only the context does: calls may be long.
	HeaderTimeout time.Duration
	// MaxHeaderBytes bounds a response's header, interim ones included. Default 32 KiB.
	MaxHeaderBytes int
}

// Client is an HTTP/1.1 client with connections that are kept. It is safe for concurrent use and runs no goroutine, except for a request
// that the peer does not take at once.
//
// Connections are shared by all requests to one host and port: let each credential have a Client of its own where an upstream
// ties anything to the connection.
type Client struct {
	cfg     ClientConfig
	follows bool // it looks names up itself

	mu    sync.RWMutex
	pools map[poolKey]*pool // grows with the endpoints in use, which the configuration bounds
}

// NewClient returns a client. It opens connections when they are needed.
func NewClient(cfg ClientConfig) *Client {
	cfg.MaxIdlePerHost = cmp.Or(cfg.MaxIdlePerHost, 512)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 90*time.Second)
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 10*time.Second)
	cfg.MaxHeaderBytes = cmp.Or(cfg.MaxHeaderBytes, 32<<10)
	follows := cfg.DialContext == nil
	if follows {
		cfg.DialContext = (&net.Dialer{Resolver: cfg.Resolver}).DialContext
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	} else {
		cfg.TLS = cfg.TLS.Clone()
	}
	cfg.TLS.NextProtos = []string{"http/1.1"}
	return &Client{cfg: cfg, follows: follows, pools: make(map[poolKey]*pool)}
}

// CloseIdle closes the connections that serve nobody. The client can still be used; connections in use are kept when they
// become idle, until IdleTimeout.
func (c *Client) CloseIdle() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, p := range c.pools {
		p.drain()
	}
}

// Do sends the request and returns the response once its header has arrived. The body of the request is not referred to after that.
//
// ctx governs the exchange to the end of the response's body; when it ends, the connection is closed. Errors are
// *ExchangeError; errors.Is(err, ErrNotSent) tells whether the request certainly did not run. Only such a failure, of a kept
// connection, is tried again here, once and on a new connection: a connection that closes after it took a part of the
// request may have passed it on, whatever the method.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	host := req.Endpoint.addr
	buf := requestBuffers.Get().(*[]byte)
	defer requestBuffers.Put(buf)
	msg, err := req.render(buf)
	if err == nil && ctx.Err() != nil {
		err = reason(ctx, ctx.Err())
	}
	if err != nil {
		return nil, &ExchangeError{Op: "request", Host: host, Err: err}
	}
	p := c.pool(req.Endpoint.key())
	p.names.follow(ctx)
	if kept := p.pop(); kept != nil {
		resp, err := newExchange(ctx, kept, p, host).run(req.Method, msg, &c.cfg)
		if err == nil || !errors.Is(err, ErrNotSent) || ctx.Err() != nil {
			return resp, err
		}
	}
	fresh, err := c.dial(ctx, req.Endpoint, p)
	if err != nil {
		return nil, err
	}
	p.names.reached(fresh)
	return newExchange(ctx, fresh, p, host).run(req.Method, msg, &c.cfg)
}

func (c *Client) pool(key poolKey) *pool {
	c.mu.RLock()
	p := c.pools[key]
	c.mu.RUnlock()
	if p != nil {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pools[key] == nil {
		p := &pool{most: c.cfg.MaxIdlePerHost, idle: c.cfg.IdleTimeout}
		if c.follows {
			p.names = newNames(c.cfg.Resolver, key.addr, p)
		}
		c.pools[key] = p
	}
	return c.pools[key]
}

// dial opens a connection, with TLS if the endpoint is https.
func (c *Client) dial(ctx context.Context, e *Endpoint, p *pool) (*conn, error) {
	within, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	fail := func(op string, err error) error {
		if ctx.Err() == nil && within.Err() != nil {
			err = fmt.Errorf("not connected within %v: %w", c.cfg.DialTimeout, within.Err())
		}
		return &ExchangeError{Op: op, Host: e.addr, Err: reason(ctx, err)}
	}
	wire, err := c.cfg.DialContext(within, "tcp", e.addr)
	for _, addr := range p.names.instead(err, e.addr) {
		if wire, err = c.cfg.DialContext(within, "tcp", addr); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fail("dial", err)
	}
	if !e.secure {
		return newConn(wire, wire), nil
	}
	cfg := c.cfg.TLS
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = e.server
	}
	secure := tls.Client(wire, cfg)
	if err := secure.HandshakeContext(within); err != nil {
		_ = wire.Close()
		return nil, fail("tls", err)
	}
	return newConn(secure, wire), nil
}
