package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/gateway/takeover"
)

// service is a gateway in the foreground, from its start to the end of the process.
type service struct {
	app        *app
	banner     banner
	next       *succession
	files      *reading
	signals    <-chan os.Signal
	overridden []string
	lost       func() int64 // lines of the log
}

// run serves until it is told to stop, fails, or another process has taken over. Where one was to take over and does not, it
// goes on as it was.
func (s *service) run(ctx context.Context, cfg *config.Config) error {
	for {
		g, err := s.start(ctx, cfg)
		if err != nil {
			return err
		}
		over, err := s.serve(ctx, g)
		if over || err != nil {
			return err
		}
		cfg = g.Config()
	}
}

// start starts a gateway, on the sockets of another process or on those that it left to this one.
func (s *service) start(ctx context.Context, cfg *config.Config) (*gateway.Gateway, error) {
	listeners, err := s.next.listeners()
	if err != nil {
		return nil, unexpected(err)
	}
	g, err := gateway.New(ctx, cfg, gateway.Options{
		Log: s.banner.log, LinesLost: s.lost, Version: buildOf().Version, Environ: s.app.environ, Load: s.files.loader(), Overridden: s.overridden, Listeners: listeners,
	})
	if err != nil {
		return nil, unexpected(err)
	}
	if err = g.Start(ctx); err == nil {
		err = s.next.serving(ctx, g)
	}
	if err != nil {
		return nil, errors.Join(unexpected(err), g.Stop(ctx))
	}
	return g, nil
}

// serve waits for the end of a gateway. It returns false where another process was to take over and did not.
func (s *service) serve(ctx context.Context, g *gateway.Gateway) (over bool, err error) {
	hush := s.app.greet(ctx, g, s.banner)
	forget := s.files.reloadOn(ctx, g, s.banner.log)
	defer forget()
	select {
	case err := <-g.Failed():
		hush()
		return true, errors.Join(unexpected(err), g.Stop(ctx))
	case h := <-s.next.asked():
		hush()
		s.banner.log.Info("making room for another gateway", "pid", h.PID)
		return s.makeRoom(ctx, h, g)
	case signal := <-s.signals:
		go killOn(s.signals, s.banner.log)
		hush()
		s.banner.log.Info("stopping", "signal", signal.String())
		if err := stop(ctx, g, signal); err != nil {
			return true, unexpected(fmt.Errorf("stopped, but not cleanly: %w", err))
		}
		s.banner.log.Info("stopped")
		return true, nil
	}
}

// makeRoom ends the gateway for another process, which has the listening sockets by now: nobody has to be told, and connections
// wait for it meanwhile. A signal means that this process need not go on in any case.
func (s *service) makeRoom(ctx context.Context, h *takeover.Handover, g *gateway.Gateway) (over bool, err error) {
	told, done := untilSignal(ctx, s.signals)
	defer done()
	over, err = s.next.finish(told, h, g, func() error {
		ctx, cancel := context.WithTimeout(told, g.Config().Shutdown.Drain+childrenTime)
		defer cancel()
		return g.Stop(ctx)
	})
	return over || told.Err() != nil, err
}

// childrenTime is how long ending the upstreams may take, after the calls.
const childrenTime = 15 * time.Second

// stop ends the gateway. Whoever interrupts it does not wait for calls in flight, only for child processes.
func stop(ctx context.Context, g *gateway.Gateway, s os.Signal) error {
	if s == os.Interrupt {
		ctx, cancel := context.WithTimeout(ctx, childrenTime)
		defer cancel()
		return g.StopNow(ctx)
	}
	g.Drain(ctx)
	ctx, cancel := context.WithTimeout(ctx, g.Config().Shutdown.Drain+childrenTime)
	defer cancel()
	return g.Stop(ctx)
}
