package gateway

import (
	"context"
	"encoding/json"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// busiest is for how many callers operators are shown how limits stand.
const busiest = 32

// Calls implements [admin.Gateway]: those that are parked come last.
func (o observed) Calls() []live.Call {
	out := o.calls.Flying(live.Request)
	for _, v := range o.bridge.Views() {
		out = append(out, live.ParkedCall(v.ID, v.Call, v.Asks))
	}
	return out
}

// Streams implements [admin.Gateway].
func (o observed) Streams() []live.Call { return o.calls.Flying(live.Stream) }

// Recent implements [admin.Gateway].
func (o observed) Recent() []live.Ended { return o.calls.Late() }

// errStopped is what a client is told whose call an operator has ended.
func errStopped() error { return rpc.Errorf(rpc.Stopped, "cancelled by an operator") }

// Stop implements [admin.Gateway].
func (o observed) Stop(id uint64) bool {
	return o.calls.Stop(id, errStopped()) || o.bridge.GiveUp(id, errStopped())
}

// Connections implements [admin.Gateway].
func (o observed) Connections() []admin.Connection {
	out := []admin.Connection{}
	for _, front := range o.measures.fronts.list() {
		for _, c := range front.Connections() {
			shown := admin.Connection{
				ID: c.ID, Transport: c.Via, Endpoint: c.Endpoint, Principal: live.PrincipalOf(c.Principal), Session: live.ShortSession(c.Session),
				Since: c.Since.UTC(), InFlight: c.InFlight,
			}
			if c.Remote.IsValid() {
				shown.Remote = c.Remote.String()
			}
			out = append(out, shown)
		}
	}
	return out
}

// Disconnect implements [admin.Gateway].
func (o observed) Disconnect(id string) bool {
	for _, front := range o.measures.fronts.list() {
		if front.Disconnect(id, errStopped()) {
			return true
		}
	}
	return false
}

// Sessions implements [admin.Gateway].
func (o observed) Sessions() []admin.Session {
	views := o.sessions.Views()
	out := make([]admin.Session, 0, len(views))
	for i := range views {
		v := &views[i]
		var client struct{ Name, Version string }
		_ = json.Unmarshal(v.Info, &client) // what cannot be read is not shown
		out = append(out, admin.Session{
			ID: live.ShortSession(v.Key), Client: live.Clip(client.Name), Version: live.Clip(client.Version), Revision: string(v.Revision),
			Endpoint: v.Endpoint, Principal: live.PrincipalOf(v.Principal), Created: v.Created.UTC(), Used: v.Used.UTC(), Level: v.Level,
			InFlight: v.InFlight, Questions: v.Questions, Streams: v.Streams,
		})
	}
	return out
}

// EndSession implements [admin.Gateway].
func (o observed) EndSession(ctx context.Context, id string) (bool, error) {
	for _, v := range o.sessions.Views() {
		if live.ShortSession(v.Key) == id {
			return o.sessions.Evict(ctx, v.Key, errStopped())
		}
	}
	return false, nil
}

// Limits implements [admin.Gateway].
func (o observed) Limits(ctx context.Context) ([]admin.Limit, error) {
	callers := o.calls.Busiest(busiest)
	asked := make([]policy.Caller, 0, len(callers))
	for _, c := range callers {
		asked = append(asked, policy.Caller{Principal: c.Principal, Remote: c.Remote})
	}
	accounts, err := o.generation().limits.Accounts(ctx, asked)
	out := make([]admin.Limit, 0, len(accounts))
	for _, a := range accounts {
		shown := admin.Limit{
			Limit: a.Limit, Scope: a.Scope, Unit: a.Unit, Text: a.Text, Enforced: a.Enforced, Principal: live.PrincipalOf(a.Principal),
			Max: a.Max, Used: a.Max - a.Remaining, Remaining: a.Remaining, Reset: a.Reset.Seconds(),
		}
		if a.Address.IsValid() {
			shown.Address = a.Address.String()
		}
		out = append(out, shown)
	}
	return out, err
}
