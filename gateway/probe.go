package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Probe is what one look at an upstream found.
type Probe struct {
	Name      string
	Transport string // "http" or "stdio"; empty if it is disabled
	Era       string // "legacy" or "modern"; empty unless it is up
	Revision  string
	State     string // Up, Down or Disabled
	Tools     int
	Connect   time.Duration // until it could be asked: dialling or starting it, and the handshake
	Latency   time.Duration // of listing what it has after that
	Note      string        // why it is not up
	Off       bool          // it is disabled because its file says so
}

// Probe connects to an upstream, unless that has happened, and lists what it has. It needs no listener, so it may be called without
// [Gateway.Start]. The upstream must be one of the configuration's.
func (g *Gateway) Probe(ctx context.Context, name string) Probe {
	n := g.generation()
	cfg := n.upstream(name)
	p := Probe{Name: name, State: Disabled, Note: cfg.Disabled, Off: cfg.Off}
	if cfg.Disabled != "" {
		return p
	}
	s := n.servers[slices.IndexFunc(n.servers, func(m *member) bool { return m.Name() == name })]
	p.Transport = s.State().Transport
	started := time.Now()
	d, err := s.Describe(ctx)
	p.Connect = time.Since(started)
	if err != nil {
		return p.down(err)
	}
	p.Era, p.Revision = d.Era.String(), string(d.Revision)
	started = time.Now()
	g.catalog.Warm(ctx, name)
	p.Latency = time.Since(started)
	switch listed := g.catalog.Status(name); {
	case listed.Err != nil:
		return p.down(listed.Err)
	case !listed.Drained:
		return p.down(context.DeadlineExceeded)
	default:
		p.State, p.Tools = Up, listed.Tools
	}
	return p
}

func (p Probe) down(err error) Probe {
	p.State, p.Note = Down, noteOf(p.Name, err)
	return p
}

// noteOf says why an upstream is down, for people who see its name beside it.
func noteOf(name string, err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "did not answer in time"
	}
	text := err.Error()
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		text = e.Message
	}
	return strings.TrimPrefix(text, fmt.Sprintf("upstream %q ", name))
}
