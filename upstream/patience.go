package upstream

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// allotted returns how long a call may take in all from now on, as its rule says; 0 if it says nothing.
func allotted(c *rpc.Call) time.Duration {
	if c.Route == nil {
		return 0
	}
	return c.Route.MaxTimeout
}

// after returns the call with what is left of the time that its rule gives it when some has passed.
func after(c *rpc.Call, spent time.Duration) *rpc.Call {
	if allotted(c) == 0 || spent <= 0 {
		return c
	}
	route := *c.Route
	route.MaxTimeout = max(1, route.MaxTimeout-spent)
	route.Timeout = min(route.Timeout, route.MaxTimeout)
	out := *c
	out.Route = &route
	return &out
}
