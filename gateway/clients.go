package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
)

// answerTime is how long calls that were given up may take to say so to their clients.
const answerTime = 2 * time.Second

// clients is where clients connect, what serves them, and how they are sent away.
type clients struct {
	listener net.Listener
	server   webServer
	front    *edge.Edge
	closed   atomic.Bool             // no connection is accepted any more
	giveUp   context.CancelCauseFunc // cancels the calls of clients without sessions
}

// webServer serves HTTP: ours where connections are plain, net/http's in TLS.
type webServer interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// serveClients runs the server for clients until [clients.leave]. Its requests end with giveUp.
func (g *Gateway) serveClients(front *edge.Edge, server webServer, l net.Listener, giveUp context.CancelCauseFunc) {
	c := &clients{listener: l, server: server, front: front, giveUp: giveUp}
	g.clients = c
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !c.closed.Load() {
			g.failed <- fmt.Errorf("%s: %w", clientListener, err)
		}
	}()
}

// leave accepts no more connections, ends streams by means of endStreams, waits for calls
// until ctx ends, then gives those up that are left, so that their clients get an error that says to
// try again. It returns when no connection is left. The error tells that calls were cut off.
func (c *clients) leave(ctx context.Context, endStreams func()) error {
	c.closed.Store(true)
	err := c.listener.Close()
	c.front.Leave()
	endStreams()
	stop := context.AfterFunc(ctx, func() { c.giveUp(rpc.Errorf(rpc.Draining, "the gateway is shutting down")) })
	defer stop()
	var dialogues sync.WaitGroup
	var ended error
	dialogues.Go(func() { ended = c.front.Close(ctx) })
	c.front.Still(ctx)
	cut := c.server.Shutdown(ctx)
	if cut != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
		defer cancel()
		if err := c.server.Shutdown(last); err != nil {
			cut = errors.Join(cut, c.server.Close())
		}
		cut = fmt.Errorf("%s: calls in flight were cut off: %w", clientListener, cut)
	}
	dialogues.Wait()
	return errors.Join(err, ended, cut)
}
