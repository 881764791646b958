package gateway

import (
	"net/http"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// operators is what serves the operators' listener.
func (g *Gateway) operators() http.Handler {
	cfg := g.generation().cfg.Admin
	return admin.New(
		admin.Config{Loopback: isLoopback(cfg.Listen), Token: cfg.Token.Reveal()},
		admin.Deps{Ready: g.readiness, Explain: g.Explain, Gateway: observed{g}, Also: union(g.measures.routes(g.logOf("admin")), admin.Reloading(g))},
	)
}

// kindOf says which calls operators see.
func kindOf(c *rpc.Call) live.Kind {
	switch c.Method.Name {
	case mcp.SessionStream, mcp.SessionResume, mcp.Listen:
		return live.Stream
	}
	if c.Message.IsRequest() {
		return live.Request
	}
	return live.Passing
}

// observed is the gateway as operators see it.
type observed struct{ *Gateway }

var _ admin.Gateway = observed{}

// Overview implements [admin.Gateway].
func (o observed) Overview() admin.Overview {
	heap, memory := memoryInUse()
	return admin.Overview{
		Version: o.version, Started: o.started.UTC(), Uptime: time.Since(o.started).Seconds(), Ready: o.ready.Load(),
		Goroutines: runtime.NumGoroutine(), Heap: heap, Memory: memory,
	}
}

// memoryInUse returns what objects take of the heap, and what the process has from the
// system. It does not stop the world.
func memoryInUse() (heap, total uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// Upstreams implements [admin.Gateway].
func (o observed) Upstreams() []admin.Upstream {
	n := o.generation()
	health := o.Gateway.Upstreams()
	out := make([]admin.Upstream, 0, len(health))
	for _, h := range health {
		u := admin.Upstream{Name: h.Name, State: h.State, Era: h.Era, Tools: h.Tools, Note: h.Note}
		n.seen(&u)
		out = append(out, u)
	}
	return out
}

// seen adds what an upstream's adapter has seen of it.
func (n *generation) seen(u *admin.Upstream) {
	for _, s := range n.servers {
		if s.Name() != u.Name {
			continue
		}
		state := s.State()
		since := state.Since.UTC()
		u.Since, u.Transport, u.Restarts, u.Revision = &since, state.Transport, state.Restarts, string(state.Revision)
		if state.Status == mcpserver.Down && state.Err != nil {
			u.Error = noteOf(u.Name, state.Err)
		}
	}
}
