package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Standing is how a limit stands for a call, which is not charged for it.
type Standing struct {
	Refusal string // the code of the error with which it refuses the call; empty if it does not
	Reason  string
}

// Explain says how each limit that concerns a call stands, refusing ones or not.
func (l *Limits) Explain(ctx context.Context, c *rpc.Call) []Standing {
	var out []Standing
	for _, limits := range [][]*limit{l.rates, l.budgets, l.watched.rates, l.watched.budgets} {
		for _, each := range limits {
			b := l.billFor(c, []*limit{each})
			if len(b.charges) > 0 {
				out = append(out, l.explain(ctx, c, each, b))
			}
			l.put(b)
		}
	}
	return out
}

func (l *Limits) explain(ctx context.Context, c *rpc.Call, each *limit, b *bill) Standing {
	balances, err := l.quota.Peek(ctx, b.charges, nil)
	refusal, refused := errors.AsType[*state.Refusal](err)
	switch {
	case refused:
		known := rpc.AsError(each.refuse(c, refusal))
		if each.Mode != "enforce" {
			return Standing{Reason: known.Message + "; it is not enforced"}
		}
		return Standing{Refusal: known.Code.String(), Reason: known.Message}
	case err != nil && each.Mode == "enforce":
		return Standing{Refusal: rpc.StateUnavailable.String(), Reason: fmt.Sprintf("limit %q cannot be checked: %v", each.Name, err)}
	case err != nil:
		return Standing{Reason: fmt.Sprintf("limit %q cannot be checked: %v", each.Name, err)}
	}
	reason := fmt.Sprintf("limit %q of %s for this %s has %g left", each.Name, each.text(), each.whose(), each.amount(balances[0].Remaining))
	if each.metered {
		reason += fmt.Sprintf("; %g are reserved before the call runs", each.amount(b.charges[0].Cost))
	}
	return Standing{Reason: reason}
}
