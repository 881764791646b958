package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
)

// Names of the listeners, in messages.
const (
	clientListener = "listen"
	adminListener  = "admin.listen"
)

// Intervals of streams: heartbeat keeps middleboxes from cutting an idle one,
// patience is how long an answer may take before it becomes a stream that can have
// heartbeats.
const (
	heartbeat = 20 * time.Second
	patience  = 10 * time.Second
)

// operatorTime is how long the requests of operators may go on after those of clients.
const operatorTime = time.Second

// listen opens both listeners before either serves, so that a port that is taken
// stops the start and not the running gateway.
func (g *Gateway) listen(ctx context.Context) error {
	n := g.generation()
	clients, err := g.open(ctx, clientListener, n.cfg.Listen)
	if err != nil {
		return err
	}
	operators, err := g.open(ctx, adminListener, n.cfg.Admin.Listen)
	if err != nil {
		return errors.Join(err, clients.Close())
	}
	clients = newCrowded(newAttentive(clients, n.cfg.Bounds.SlowReader), g.logOf("edge"))
	front := g.front(n.cfg, g.remote)
	calls, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	var server webServer = edge.Plain(calls, g.entrance(front), g.logOf("edge"))
	if n.cfg.TLS != nil {
		certificates, err := g.certificates(n)
		if err != nil {
			giveUp(nil)
			return errors.Join(fmt.Errorf("tls: %w", err), clients.Close(), operators.Close())
		}
		inTLS := edge.Server(g.entrance(front), g.logOf("edge"))
		inTLS.TLSConfig = certificates
		inTLS.BaseContext = func(net.Listener) context.Context { return calls }
		server, clients = inTLS, tls.NewListener(clients, certificates)
	}
	g.serveOperators(g.operators(), operators)
	g.serveClients(front, server, clients, giveUp)
	return nil
}

// front is what clients connect to.
func (g *Gateway) front(cfg *config.Config, handler rpc.HandlerFunc) *edge.Edge {
	front := edge.New(g.edgeBounds(cfg), edge.Deps{Handler: handler, Sessions: g.sessions, Endpoints: g.serves, Log: g.logOf("edge")})
	g.measures.fronts.add(front)
	return front
}

// edgeBounds bound what clients can cost.
func (g *Gateway) edgeBounds(cfg *config.Config) edge.Config {
	return edge.Config{
		Body: int64(cfg.Bounds.Body), Depth: cfg.Bounds.Depth, AllowOrigin: g.allowsOrigin,
		Heartbeat: heartbeat, Patience: patience, SlowReader: cfg.Bounds.SlowReader, InFlight: cfg.Bounds.PerSessionInFlight,
		LimitsAsOK: cfg.LimitRefusals == "json-rpc", Capacity: cfg.Bounds.InFlight, Connections: cfg.Bounds.Connections,
	}
}

// ServeStdio serves the client at the other end of two pipes, on one endpoint, until it
// closes its side or ctx ends. It needs no listener, so it may be called without
// [Gateway.Start]. A read that blocks when ctx ends is given up, not ended. The client is
// not asked who it is: whoever started the process could read all it is configured with.
func (g *Gateway) ServeStdio(ctx context.Context, endpoint string, in io.Reader, out io.Writer) error {
	return g.front(g.generation().cfg, g.local).ServeLines(ctx, endpoint, in, out)
}

// serveOperators runs the admin server until the very end, so that the state of the gateway can be
// watched while it stops.
func (g *Gateway) serveOperators(handler *admin.Server, l net.Listener) {
	server := edge.Server(handler, g.logOf("admin"))
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.failed <- fmt.Errorf("%s: %w", adminListener, err)
		}
	}()
	g.onStop(adminListener, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operatorTime)
		defer cancel()
		handler.Close() // who watches has seen the end
		if server.Shutdown(ctx) != nil {
			return server.Close()
		}
		return nil
	})
}
