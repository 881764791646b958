package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// refusal makes the error for a client out of what the engine said of a bill.
func (l *Limits) refusal(c *rpc.Call, b *bill, err error) error {
	r, ok := errors.AsType[*state.Refusal](err)
	if !ok {
		out := rpc.Errorf(rpc.StateUnavailable, "limits cannot be checked at the moment")
		out.RetryAfter, out.Cause = time.Second, err
		return out
	}
	return b.limits[r.Charge].refuse(c, r)
}

// refuse says which limit stands in the way, whose it is, and when it will not.
func (l *limit) refuse(c *rpc.Call, r *state.Refusal) error {
	out := &rpc.Error{
		Code: rpc.QuotaExhausted, Message: fmt.Sprintf("the limit %q of %s for this %s is used up", l.Name, l.text(), l.whose()),
		Header: http.Header{headerPolicy: {l.policy}, headerLimit: {l.standing(r.Balance)}},
		Data:   l.data(c, r),
	}
	switch l.counted.Kind {
	case state.Rate:
		out.Code, out.Message = rpc.RateLimited, fmt.Sprintf("this %s makes more than %s (limit %q)", l.whose(), l.text(), l.Name)
	case state.InFlight:
		out.Code, out.Message = rpc.TooManyInFlight, fmt.Sprintf("this %s has %s in flight already (limit %q)", l.whose(), l.text(), l.Name)
	}
	if l.metered && r.Balance.Remaining > 0 {
		out.Message = fmt.Sprintf("the limit %q of %s for this %s has %g left, and the call may take %g more", l.Name, l.text(), l.whose(), l.amount(r.Balance.Remaining), l.amount(r.Cost))
	}
	switch {
	case r.RetryAfter == state.Never:
		out.RetryAfter = -1
		out.Message = fmt.Sprintf("one call costs more than the limit %q of %s allows at all", l.Name, l.text())
	case r.RetryAfter > 0:
		out.RetryAfter = r.RetryAfter
	default:
		out.RetryAfter = time.Second // it depends on when other calls end
	}
	return out
}

// data says to programs what refuse says to people.
func (l *limit) data(c *rpc.Call, r *state.Refusal) map[string]any {
	out := map[string]any{
		"limitName": l.Name, "scope": l.Scope, "unit": l.Unit, "limit": l.amount(r.Balance.Limit), "remaining": l.amount(r.Balance.Remaining),
	}
	if l.counted.Kind != state.InFlight { // slots are free when calls end, and nobody knows when that is
		out["resetAt"] = time.Now().Add(r.Balance.Reset).UTC().Format(time.RFC3339)
	}
	if c.Target.Kind == rpc.Model {
		out["model"] = c.Target.Canonical
	}
	return out
}

// text is the limit in words, such as "20 requests in 1s".
func (l *limit) text() string {
	count := strconv.FormatFloat(l.amount(l.quota()), 'f', -1, 64) + " " + l.Unit
	switch l.counted.Kind {
	case state.InFlight:
		return strconv.FormatInt(l.counted.Max, 10) + " calls"
	case state.Rate, state.Rolling:
		return count + " in " + l.counted.Per.String()
	}
	return count + " a " + l.Per
}

// whose is whom the limit is counted for.
func (l *limit) whose() string {
	switch l.Scope {
	case "org":
		return "organisation"
	case "ip":
		return "address"
	}
	return l.Scope
}

// amount is a number of the unit's smallest steps in the unit.
func (l *limit) amount(n int64) float64 {
	if l.Unit == unitUSD {
		return float64(n) / config.Millionths
	}
	return float64(n)
}

// warn writes to the log that a limit is near or exceeded, and by whom, once in a while.
func (l *Limits) warn(ctx context.Context, c *rpc.Call, each *limit, bucket string, while time.Duration, what string) {
	if !l.warned.once(warning{what, bucket}, while) {
		return
	}
	out := []slog.Attr{slog.String("limit", each.Name), slog.String("scope", each.Scope), slog.String("unit", each.Unit)}
	l.log.LogAttrs(ctx, slog.LevelWarn, what, append(out, each.culprit(c)...)...) //nolint:sloglint // one of three texts
}

// culprit is whose bucket a call counts against.
func (l *limit) culprit(c *rpc.Call) []slog.Attr {
	p := &c.Principal
	switch l.Scope {
	case "org":
		return []slog.Attr{slog.String("org", clip(p.Org))}
	case "team":
		return []slog.Attr{slog.String("org", clip(p.Org)), slog.String("team", clip(p.Team))}
	case "key":
		return []slog.Attr{slog.String("org", clip(p.Org)), slog.String("key", clip(p.Key))}
	case "user":
		return []slog.Attr{slog.String("org", clip(p.Org)), slog.String("user", clip(p.User))}
	}
	return []slog.Attr{slog.String("address", auth.Network(c.Remote.Addr()).String())}
}
