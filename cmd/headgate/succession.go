package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/gateway/takeover"
)

// succession is how a process comes after another one, and makes room for the next. The zero value is a process that takes
// over from nobody.
type succession struct {
	log     *slog.Logger
	path    string // where successors ask; empty if there is no data directory
	before  *takeover.Successor
	sockets takeover.Sockets // what this process is to serve on; nil if it has to open its own
	offer   *takeover.Offer
}

// newSuccession asks whoever serves with the same data directory to make room, if the process is to take over. It returns when
// the other one has finished, so that its state can be opened. Where there is nobody there is nothing to wait for.
func newSuccession(ctx context.Context, log *slog.Logger, dataDir string, wanted bool) (*succession, error) {
	s := &succession{log: log}
	if dataDir == "" {
		if wanted {
			return nil, usage("--takeover needs a data_dir: the other gateway is found there")
		}
		return s, nil
	}
	s.path = filepath.Join(dataDir, "takeover.sock")
	if !wanted {
		return s, nil
	}
	before, err := takeover.Ask(ctx, s.path)
	switch {
	case errors.Is(err, takeover.ErrNobody):
		log.Info("nobody to take over from", "asked_at", s.path)
		return s, nil
	case err != nil:
		return nil, unexpected(err)
	}
	log.Info("taking over: waiting for the other gateway to finish its calls")
	if err := before.Await(ctx); err != nil {
		return nil, errors.Join(unexpected(err), before.Close())
	}
	s.before = before
	return s, nil
}

// listeners returns what the gateway is to serve on, if it does not open its own.
func (s *succession) listeners() (map[string]net.Listener, error) {
	if s.before != nil {
		return s.before.Listeners()
	}
	return s.sockets.Listeners()
}

// serving tells the predecessor that it is not needed any more, and offers to make room for a successor. That it cannot is
// no reason not to serve.
func (s *succession) serving(ctx context.Context, g *gateway.Gateway) error {
	if s.before != nil {
		s.before.Serving()
		if err := s.before.Close(); err != nil {
			s.log.Debug("takeover", "error", err)
		}
		s.before = nil
		s.log.Info("taken over")
	}
	err := s.sockets.Close()
	if s.sockets = nil; s.path == "" {
		return err
	}
	sockets, failed := g.Sockets()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if s.offer, err = takeover.NewOffer(ctx, s.path, sockets); err != nil {
		s.offer = nil
		s.log.Warn("no other gateway can take over from this one", "path", s.path, "error", err)
	}
	return nil
}

// asked delivers who wants to take over.
func (s *succession) asked() <-chan *takeover.Handover {
	if s.offer == nil {
		return nil
	}
	return s.offer.Asked()
}

// finish lets a successor go on, when the gateway has stopped. It returns whether the successor serves. If it does not, this process has to,
// on the sockets that it has kept for that.
func (s *succession) finish(ctx context.Context, h *takeover.Handover, g *gateway.Gateway, stop func() error) (over bool, err error) {
	if s.sockets, err = g.Sockets(); err != nil {
		return false, err
	}
	if err := stop(); err != nil {
		s.log.Warn("stopped, but not cleanly", "error", err)
	}
	if err = h.Finish(ctx); err == nil {
		return true, s.close()
	}
	s.log.Error("the gateway that was to take over does not serve: this one goes on", "error", err)
	err = s.offer.Close()
	s.offer = nil
	return false, err
}

// close takes back what is offered, and lets go of the sockets. It may be called again.
func (s *succession) close() error {
	var errs []error
	if s.before != nil {
		errs = append(errs, s.before.Close())
	}
	if s.offer != nil {
		errs = append(errs, s.offer.Close())
	}
	errs = append(errs, s.sockets.Close())
	s.before, s.offer, s.sockets = nil, nil, nil
	return errors.Join(errs...)
}
