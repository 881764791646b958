package gateway

import (
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// operators is what serves the operators' listener.
func (g *Gateway) operators() *admin.Server {
	cfg, log := g.generation().cfg.Admin, g.logOf("admin")
	return admin.New(
		g.life,
		admin.Config{Loopback: isLoopback(cfg.Listen), Token: cfg.Token.Reveal()},
		admin.Deps{
			Ready: g.readiness, Explain: g.Explain, Gateway: observed{g}, Log: log, Also: union(union(g.measures.routes(log), admin.Reloading(g)), admin.Jobbing(g.shownJobs(), log)),
		},
	)
}

// kindOf says which calls operators see.
func kindOf(c *rpc.Call) live.Kind {
	switch c.Method.Name {
	case mcp.SessionStream, mcp.SessionResume, mcp.Listen:
		return live.Stream
	case infer.Logs:
		if c.Dialect == rpc.Infer {
			return live.Stream
		}
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
	calls, streams := o.calls.Counts()
	return admin.Overview{
		Version: o.version, Started: o.started.UTC(), Uptime: time.Since(o.started).Seconds(), Ready: o.ready.Load(),
		Generation: o.Configuration().Generation,
		Goroutines: runtime.NumGoroutine(), Heap: heap, Memory: memory,
		Calls: calls, Streams: streams, Parked: o.bridge.Parked(), Sessions: o.sessions.Usage().Sessions,
		Jobs: o.runningJobs(),
	}
}

// memoryInUse returns what objects take of the heap, and what the process has from the
// system. It does not stop the world.
func memoryInUse() (heap, total uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
