package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/headgate/headgate/config"
)

// Limits of the servers, which only loopback can reach.
const (
	readHeaderTimeout = 5 * time.Second
	maxHeader         = 16 << 10
	callTimeout       = time.Minute
)

// Servers are the running demo servers.
type Servers struct {
	upstreams []config.Upstream
	running   []*http.Server
}

// Start starts the servers, each on a free port of 127.0.0.1. They serve until [Servers.Close] is called; tools that are running end with
// ctx too.
func Start(ctx context.Context, log *slog.Logger) (*Servers, error) {
	s := &Servers{}
	for _, one := range []struct {
		name    string
		handler http.Handler
	}{
		{"demo", newLegacy(identity{"demo", "Arithmetic and echo", "Tools that need no network."}, arithmetic()...)},
		{"clock", newModern(identity{"clock", "Clock", "Tells the time and waits."}, clock()...)},
		{"stream", newModern(identity{"stream", "Streamed counting", "Shows progress while it works."}, append(counting(), reciting()...)...)},
	} {
		if err := s.serve(ctx, one.name, one.handler, log); err != nil {
			return nil, errors.Join(fmt.Errorf("demo server %q: %w", one.name, err), s.Close())
		}
	}
	return s, nil
}

func (s *Servers) serve(ctx context.Context, name string, h http.Handler, log *slog.Logger) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("demo server stopped", "server", name, "error", err)
		}
	}()
	s.running = append(s.running, server)
	s.upstreams = append(s.upstreams, config.Upstream{
		Name: name, URL: "http://" + l.Addr().String() + "/mcp", Transport: "http", Era: "auto", Timeout: callTimeout,
	})
	return nil
}

// Upstreams returns the servers as entries of a configuration.
func (s *Servers) Upstreams() []config.Upstream { return s.upstreams }

// Close ends the servers at once, together with the tools that are running.
func (s *Servers) Close() error {
	var errs []error
	for _, server := range s.running {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
