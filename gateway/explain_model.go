package gateway

import (
	"strings"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// supposeInvoke makes a call of a model, with a prompt of nothing where the question has none.
func supposeInvoke(c *rpc.Call, q admin.Question) {
	params := q.Arguments
	if len(params) == 0 {
		params = []byte("{}")
	}
	m := rpc.NewRequest(rpc.NumberID(1), infer.Invoke, params)
	m.Set("model", rpc.AppendString(nil, q.Name))
	_, prompted := m.Get("prompt")
	if _, conversing := m.Get("messages"); !prompted && !conversing {
		m.Set("prompt", []byte(`""`))
	}
	c.Message, c.Dialect, c.Endpoint = m.Clone(), rpc.Infer, infer.Path
	c.Method, _ = infer.Lookup(infer.Invoke)
}

// resolveModel reports whether the call is about a model that is there.
func (e *explaining) resolveModel(c *rpc.Call) bool {
	err := e.generation.models.Locate(c)
	if err != nil && c.Route == nil {
		known := rpc.AsError(err)
		e.step("resolve", known.Code.String(), "%s", known.Message)
		return false
	}
	t := c.Target
	e.Canonical, e.Upstream = t.Canonical, t.Upstream
	e.step("resolve", "", "%s is the model %s; rules know it by that name", rpc.Excerpt(t.Exposed), rpc.Excerpt(t.Canonical))
	return e.route(c, err)
}

// model says whether who serves the model can.
func (e *explaining) model(c *rpc.Call) {
	m := e.generation.pool(c.Target.Upstream)
	if m == nil {
		e.step("model", rpc.UpstreamDown.String(), "%s is switched off", c.Target.Upstream)
		return
	}
	s := m.Status()
	switch {
	case s.Available:
		e.step("model", "", "%s has %d of %d backends, %d calls in flight and %d that wait", m.Name(), s.Healthy, s.Total, s.InFlight, s.Waiting)
	case c.Route != nil && len(c.Route.Fallback) > 0:
		e.step("model", "", "%s has none of %d backends; then it is tried at %s", m.Name(), s.Total, strings.Join(c.Route.Fallback, ", "))
	case s.Warming:
		e.step("model", "", "%s is being loaded by a backend", m.Name())
	default:
		e.step("model", rpc.UpstreamDown.String(), "%s has none of %d backends", m.Name(), s.Total)
	}
}
