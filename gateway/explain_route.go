package gateway

import "github.com/headgate/headgate/rpc"

// route says which routing rule holds for a call that was resolved, and where the call goes by it. It reports whether it can go
// there: err says why it cannot.
func (e *explaining) route(c *rpc.Call, err error) bool {
	switch {
	case err != nil:
		known := rpc.AsError(err)
		e.step("route", known.Code.String(), "the rule at %s holds (%s), and %s", c.Route.Rule, c.Route.Does, known.Message)
		return false
	case c.Route != nil && c.Target.Upstream == "":
		e.step("route", "", "the rule at %s holds (%s)", c.Route.Rule, c.Route.Does)
	case c.Route != nil:
		e.step("route", "", "the rule at %s holds (%s): %s serves it", c.Route.Rule, c.Route.Does, c.Target.Upstream)
	case len(e.generation.cfg.Routes) > 0:
		e.step("route", "", "no rule matches: it goes to its owner")
	}
	return true
}
