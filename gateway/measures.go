package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/telemetry/metrics"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// measures is what is counted. Where nothing is, its zero value shows nothing.
type measures struct {
	calls    *metrics.Calls
	sessions *metrics.Sessions
	registry *metrics.Registry
	fronts   fronts
}

// fronts are what clients connect to.
type fronts struct {
	mu  sync.Mutex
	all []*edge.Edge
}

func (f *fronts) add(e *edge.Edge) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, e)
}

func (f *fronts) list() []*edge.Edge {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

func (f *fronts) inFlight() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.all {
		n += e.InFlight()
	}
	return n
}

// measure begins to count, where somebody wants to see it. It comes before the parts that calls go through are made.
func (g *Gateway) measure(cfg *config.Config) error {
	if !cfg.Telemetry.Metrics.Prometheus {
		return nil
	}
	known := metrics.Vocabulary{
		Method: mcp.Known, Revision: func(r rpc.Revision) bool { _, ok := mcp.Of(r); return ok }, Code: mcp.Code,
		Invokes: func(name string) bool { _, ok := infer.Lookup(name); return ok },
	}
	g.measures.calls = metrics.NewCalls(known)
	g.observers = append(g.observers, g.measures.calls)
	g.measures.sessions = metrics.NewSessions(known)
	registry, err := metrics.NewRegistry(g.samples, g.upstreamSamples, g.modelSamples, g.measures.calls.Samples, g.measures.sessions.Samples)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	g.measures.registry = registry
	return nil
}

// routes are those of the operators' listener.
func (m *measures) routes(log *slog.Logger) map[string]http.Handler {
	if m.registry == nil {
		return nil
	}
	return map[string]http.Handler{"GET /metrics": m.registry.Handler(log)}
}

// sessionEnded is who is told of sessions that end.
func (m *measures) sessionEnded() func(rpc.Revision, time.Duration) {
	if m.sessions == nil {
		return nil
	}
	return m.sessions.Ended
}

// upstreamSessionEnded is who is told of sessions with upstreams that end.
func (m *measures) upstreamSessionEnded() func(upstream, transport string, spoken rpc.Revision, lasted time.Duration) {
	if m.sessions == nil {
		return nil
	}
	return m.sessions.EndedUpstream
}

// samples is what the parts of the gateway know.
func (g *Gateway) samples(s *metrics.Sink) {
	s.Set(metrics.BuildInfo, 1, g.version, runtime.Version())
	s.Set(metrics.LogLost, float64(g.linesLost()))
	used := g.sessions.Usage()
	s.Set(metrics.RequestsInFlight, float64(g.measures.fronts.inFlight()))
	s.Set(metrics.SessionsActive, float64(used.Sessions))
	s.Set(metrics.StreamsActive, float64(used.Streams+g.subscriptions.Listening()))
	s.Set(metrics.CallsParked, float64(g.bridge.Parked()))
	if cache := g.generation().cache; cache != nil {
		hits, misses := cache.Lookups()
		s.Set(metrics.CacheRequests, float64(hits), "hit")
		s.Set(metrics.CacheRequests, float64(misses), "miss")
	}
	if g.jobs != nil {
		s.Set(metrics.JobsRunning, float64(g.jobs.Running()))
		for _, stands := range []state.JobState{state.JobSucceeded, state.JobFailed, state.JobDead} {
			s.Set(metrics.JobsEnded, float64(g.jobs.Ended(stands)), job.StateName(stands))
		}
	}
	shed := g.generation().memory.Status()
	s.Set(metrics.OverloadShed, float64(shed.Batch), "batch")
	s.Set(metrics.OverloadShed, float64(shed.Refused), "all")
	g.configSamples(s)
	if g.trail != nil {
		s.Set(metrics.AuditLines, float64(g.trail.Written()))
		s.Set(metrics.AuditDropped, float64(g.trail.Dropped()))
	}
}

// configSamples is what is known of the configuration. Reading it for the first time counts as reading it again.
func (g *Gateway) configSamples(s *metrics.Sink) {
	c := g.Configuration()
	success := c.Since
	if c.LastSuccess != nil {
		success = *c.LastSuccess
	}
	s.Set(metrics.ConfigGeneration, float64(c.Generation))
	s.Set(metrics.ConfigReloaded, float64(success.UnixMilli())/1000)
	s.Set(metrics.ConfigReloadSuccess, flag(!c.Failed))
}

// upstreamSamples is what is known of the upstreams.
func (g *Gateway) upstreamSamples(s *metrics.Sink) {
	for _, u := range g.generation().servers {
		state := u.State()
		s.Set(metrics.UpstreamUp, flag(state.Status == mcpserver.Up), u.Name())
		s.Set(metrics.UpstreamRestarts, float64(state.Restarts), u.Name())
		g.measures.calls.Expect(u.Name(), queueSamples(s, u.Name(), u.queue.Status()))
		for _, b := range u.Backends() {
			backendSamples(s, &b)
		}
	}
	for _, c := range g.mirrors.Counts() {
		s.Set(metrics.MirrorAnswers, float64(c.Equal), c.Upstream, "equal")
		s.Set(metrics.MirrorAnswers, float64(c.Different), c.Upstream, "different")
		s.Set(metrics.MirrorAnswers, float64(c.Failed), c.Upstream, "failed")
		s.Set(metrics.MirrorAnswers, float64(c.Dropped), c.Upstream, "dropped")
	}
}

// backendSamples is what is known of a backend.
func backendSamples(s *metrics.Sink, b *upstream.BackendStatus) {
	s.Set(metrics.BackendUp, flag(b.State == upstream.BackendUp), b.Upstream, b.Backend)
	s.Set(metrics.BackendInFlight, float64(b.InFlight), b.Upstream, b.Backend)
	s.Set(metrics.BackendFailures, float64(b.Failures), b.Upstream, b.Backend)
	if b.Breaker == "" {
		return
	}
	for _, state := range breakerStates {
		s.Set(metrics.BreakerState, flag(b.Breaker == state), b.Upstream, b.Backend, state)
	}
}

// breakerStates are the states of breakers.
var breakerStates = []string{"closed", "half-open", "open"}

// flag is 1 for what is so, and 0 for what is not.
func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// queueSamples is what is known of the queue before an upstream. It reports whether there is one.
func queueSamples(s *metrics.Sink, name string, status upstream.QueueStatus) bool {
	if status.Limit == 0 {
		return false
	}
	s.Set(metrics.UpstreamInFlight, float64(status.InFlight), name)
	for _, b := range status.Bands {
		s.Set(metrics.QueueDepth, float64(b.Waiting), name, b.Band)
	}
	for cause, n := range status.Shed {
		s.Set(metrics.QueueShed, float64(n), name, cause)
	}
	return true
}
