package gateway

import (
	"github.com/headgate/headgate/telemetry/metrics"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/model"
)

// modelSamples is what is known of the models.
func (g *Gateway) modelSamples(s *metrics.Sink) {
	for _, m := range g.generation().pools {
		name, state, queue := m.Name(), m.Status(), m.Queue()
		s.Set(metrics.ModelUp, flag(state.Available), name)
		s.Set(metrics.ModelInFlight, float64(state.InFlight), name)
		g.measures.calls.ExpectModel(name, queue.Limit > 0)
		if queue.Limit > 0 {
			for _, b := range queue.Bands {
				s.Set(metrics.ModelQueueDepth, float64(b.Waiting), name, b.Band)
			}
			for cause, n := range queue.Shed {
				s.Set(metrics.ModelQueueShed, float64(n), name, cause)
			}
		}
		for _, b := range m.Backends() {
			modelBackendSamples(s, name, &b)
		}
	}
}

// modelBackendSamples is what is known of a model's backend.
func modelBackendSamples(s *metrics.Sink, name string, b *upstream.BackendStatus) {
	s.Set(metrics.ModelBackendUp, flag(b.State == upstream.BackendUp || b.State == model.BackendCold), name, b.Backend)
	s.Set(metrics.ModelBackendInFlight, float64(b.InFlight), name, b.Backend)
	s.Set(metrics.ModelBackendFailures, float64(b.Failures), name, b.Backend)
	if b.Breaker == "" {
		return
	}
	for _, state := range breakerStates {
		s.Set(metrics.ModelBreakerState, flag(b.Breaker == state), name, b.Backend, state)
	}
}
