package policy

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Caller is somebody whose calls are counted.
type Caller struct {
	Principal rpc.Principal
	Remote    netip.AddrPort
}

// Account is how a limit stands for one of those it is counted for.
type Account struct {
	Limit     string
	Scope     string
	Unit      string
	Text      string // the limit in words, such as "20 requests in 1s"
	Enforced  bool
	Principal rpc.Principal // the parts that the scope counts by
	Address   netip.Addr    // the same, where that is the address
	Max       float64       // in the unit
	Remaining float64
	Reset     time.Duration // until all of it is there again if nobody calls; 0 where that depends on calls in flight
}

// Accounts returns how each limit stands for each of some callers, once where several are
// counted together. Nobody is charged. An error is that of the state; what was read before
// it is returned too.
func (l *Limits) Accounts(ctx context.Context, callers []Caller) ([]Account, error) {
	var out []Account
	for _, each := range slices.Concat(l.rates, l.budgets, l.watched.rates, l.watched.budgets) {
		seen := map[string]bool{}
		for i := range callers {
			c := &rpc.Call{Principal: callers[i].Principal, Remote: callers[i].Remote}
			name, ok := each.appendBucket(nil, c)
			if !ok || seen[string(name)] {
				continue
			}
			seen[string(name)] = true
			balances, err := l.quota.Peek(ctx, []state.Charge{{Bucket: string(name), Limit: &each.counted}}, nil)
			if _, refused := errors.AsType[*state.Refusal](err); err != nil && !refused {
				return out, err
			}
			out = append(out, each.account(c, balances[0]))
		}
	}
	return out, nil
}

func (l *limit) account(c *rpc.Call, b state.Balance) Account {
	out := Account{
		Limit: l.Name, Scope: l.Scope, Unit: l.Unit, Text: l.text(), Enforced: l.Mode == "enforce",
		Max: l.amount(b.Limit), Remaining: l.amount(b.Remaining), Reset: b.Reset,
	}
	p := c.Principal
	switch l.Scope {
	case "org":
		out.Principal = rpc.Principal{Org: p.Org}
	case "team":
		out.Principal = rpc.Principal{Org: p.Org, Team: p.Team}
	case "key":
		out.Principal = rpc.Principal{Org: p.Org, Key: p.Key}
	case "user":
		out.Principal = rpc.Principal{Org: p.Org, User: p.User}
	default:
		out.Address = auth.Network(c.Remote.Addr())
	}
	return out
}
