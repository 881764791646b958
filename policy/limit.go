package policy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Units of limits, as the configuration names them.
const (
	unitRequests = "requests"
	unitTokens   = "tokens"
	unitUSD      = "usd"
	unitBytes    = "bytes"
	unitInFlight = "in_flight"
)

// limit is a rule of the configuration as calls are charged by it.
type limit struct {
	config.Limit
	counted state.Limit
	cost    int64  // of one call; 0 where that is known only later
	policy  string // how the RateLimit-Policy field names it
	metered bool   // it counts what calls take of models
}

// newLimit returns a limit as the state counts it.
func newLimit(c config.Limit) (*limit, error) {
	l := &limit{Limit: c, cost: scaled(c.Unit, c.Cost)}
	l.counted.Max = scaled(c.Unit, c.Limit)
	switch {
	case c.Rate.Count > 0:
		l.counted = state.Limit{Kind: state.Rate, Max: int64(c.Burst), Refill: int64(c.Rate.Count), Per: c.Rate.Per}
	case c.Unit == unitInFlight:
		l.counted.Kind = state.InFlight
	default:
		if err := l.window(); err != nil {
			return nil, err
		}
	}
	l.policy = l.describe()
	l.metered = l.Unit == unitTokens || l.Unit == unitUSD && l.cost == 0
	return l, l.counted.Validate()
}

// scaled returns an amount in the smallest step of a unit: millionths of a dollar, else
// whole ones.
func scaled(unit string, a config.Amount) int64 {
	if unit == unitUSD {
		return int64(a)
	}
	return int64(a) / config.Millionths
}

// periods are the words of per.
var periods = map[string]struct {
	period state.Period
	length time.Duration
}{
	"minute": {state.Minute, time.Minute}, "hour": {state.Hour, time.Hour}, "day": {state.Day, 24 * time.Hour},
	"week": {state.Week, 7 * 24 * time.Hour}, "month": {state.Month, 30 * 24 * time.Hour},
}

// window says when a budget gets empty. Budgets outlive a crash.
func (l *limit) window() error {
	l.counted.Durable = true
	if p, ok := periods[l.Per]; ok {
		l.counted.Kind, l.counted.Period = state.Calendar, p.period
		zone, err := time.LoadLocation(l.Zone)
		l.counted.Zone = zone
		return err
	}
	per, err := time.ParseDuration(l.Per)
	l.counted.Kind, l.counted.Per = state.Rolling, per
	return err
}

// length returns how long the limit's window is, about.
func (l *limit) length() time.Duration {
	if p, ok := periods[l.Per]; ok {
		return p.length
	}
	return l.counted.Per
}

// describe writes the limit as a member of RateLimit-Policy (RateLimit header fields for
// HTTP, draft 11): its quota, its window in seconds, and its unit unless that is requests.
func (l *limit) describe() string {
	out := fmt.Sprintf(`"%s";q=%d`, l.Name, l.quota())
	if seconds := int64(l.length() / time.Second); seconds > 0 {
		out += ";w=" + strconv.FormatInt(seconds, 10)
	}
	switch l.Unit {
	case unitRequests:
	case unitBytes:
		out += `;qu="content-bytes"`
	case unitInFlight:
		out += `;qu="concurrent-requests"`
	case unitUSD:
		out += `;qu="micro-usd"` // amounts there are whole numbers
	default:
		out += `;qu="` + l.Unit + `"`
	}
	return out
}

// quota is how much the limit gives in its window.
func (l *limit) quota() int64 {
	if l.counted.Kind == state.Rate {
		return l.counted.Refill
	}
	return l.counted.Max
}

// concerns reports whether calls like this one are counted.
func (l *limit) concerns(c *rpc.Call) bool {
	switch model := c.Target.Kind == rpc.Model; {
	case l.Model != "" && !(model && config.Match(l.Model, c.Target.Canonical)), l.metered && !model, l.Upstream != "" && model:
		return false
	case l.Method != "" && !config.Match(l.Method, c.Method.Name):
		return false
	case l.Unit == unitInFlight && l.Method == "" && c.Dialect == rpc.Infer && c.Target.Kind != rpc.Model:
		return false // no model is asked: who has all slots in use has to be able to cancel, and to say that it is there
	case l.Tool != "" && (c.Target.Kind != rpc.Tool || !config.Match(l.Tool, c.Target.Canonical)):
		return false
	}
	if l.Upstream != "" && c.Target.Upstream == "" {
		return c.Target.Kind == rpc.Resource // that nobody is known to have, so that all of them are asked
	}
	return l.Upstream == "" || config.Match(l.Upstream, c.Target.Upstream)
}

// appendBucket appends the name of what the limit counts for a call: its own bucket for each organisation, team and so
// on. It returns false where the caller is none.
func (l *limit) appendBucket(dst []byte, c *rpc.Call) ([]byte, bool) {
	p := &c.Principal
	out := append(append(dst, l.Name...), 0)
	switch l.Scope {
	case "org":
		return part(out, p.Org), p.Org != ""
	case "team":
		return part(part(out, p.Org), p.Team), p.Team != ""
	case "key":
		return part(part(out, p.Org), p.Key), p.Key != ""
	case "user":
		return part(part(out, p.Org), p.User), p.User != ""
	default:
		return auth.Network(c.Remote.Addr()).AppendTo(out), c.Remote.IsValid()
	}
}

// part appends a part of a principal so that parts cannot run into one another.
func part(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}
