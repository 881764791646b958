package policy

import (
	"context"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
)

// Access says what each principal may do. First the scopes allow, then every rule that
// concerns the call has to let it pass. It may be used by many goroutines at once.
type Access struct {
	open  bool // there are no credentials, so that scopes say nothing
	rules []accessRule
}

// NewAccess returns the access that rules leave. Without authentication it is open:
// scopes are not asked for.
func NewAccess(rules []config.AccessRule, open bool) *Access {
	a := &Access{open: open}
	for _, r := range rules {
		a.rules = append(a.rules, accessRule{r, accessPatterns(r.Allow), accessPatterns(r.Deny)})
	}
	return a
}

// Act is something that a principal may or may not do.
type Act struct {
	Dialect   rpc.Dialect
	Verb      string     // the method as which it is judged, such as tools/call
	Name      string     // the canonical name, which rules match; empty if the method has none
	Own       string     // of a resource: its own URI, which rules match too
	Arguments func() any // nil where there is no call yet
}

// Verdict is what became of an act.
type Verdict struct {
	Allowed  bool
	Unscoped bool               // no scope is good for the method
	Rule     *config.AccessRule // that stands in the way; nil if none does
	Reason   string             // how it does
}

// Judge decides about an act.
func (a *Access) Judge(p *rpc.Principal, act Act) Verdict {
	if !a.open && !auth.Covers(p.Scopes, act.Dialect, act.Verb) {
		return Verdict{Unscoped: true}
	}
	facts := accessFacts{p, &act}
	for i := range a.rules {
		r := &a.rules[i]
		if !r.Who.Matches(p.Org, p.Team, p.Key, p.User) {
			continue
		}
		if reason := r.objection(&act, facts); reason != "" {
			return Verdict{Rule: &r.AccessRule, Reason: reason}
		}
	}
	return Verdict{Allowed: true}
}

// Verbs are what a dialect knows of its methods.
type Verbs struct {
	// Of returns the method as which access to a call is judged; empty where everybody may
	// make it.
	Of func(*rpc.Call) string
	// Listed returns the method by which is used what a call lists; empty where it lists
	// nothing.
	Listed func(*rpc.Call) string
	// Also returns what the caller must have a scope for beside the method, such as a form of the answer; empty for nothing.
	// Rules know nothing of it. It may be nil.
	Also func(*rpc.Call) string
}

// lacking returns what none of the scopes of a call's principal is good for; empty if there is nothing.
func (v Verbs) lacking(c *rpc.Call) string {
	verb := v.Of(c)
	if verb == "" || !auth.Covers(c.Principal.Scopes, c.Dialect, verb) {
		return verb
	}
	if v.Also == nil {
		return ""
	}
	if also := v.Also(c); also != "" && !auth.Covers(c.Principal.Scopes, c.Dialect, also) {
		return also
	}
	return ""
}

// Guard refuses calls that their principal may not make. Unscoped makes the refusal of
// a call for whose method the principal has no scope.
func (a *Access) Guard(verbs Verbs, unscoped func(c *rpc.Call, method string) error) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		if a.open && len(a.rules) == 0 {
			return next
		}
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if err := a.admit(c, verbs, unscoped); err != nil {
				return nil, err
			}
			return next.Handle(ctx, c)
		})
	}
}

// Explain judges a call without refusing it. It returns what the caller has no scope for, where that is what stands in the
// way.
func (a *Access) Explain(c *rpc.Call, verbs Verbs) (Verdict, string) {
	if lacking := verbs.lacking(c); lacking != "" && !a.open {
		return Verdict{Unscoped: true}, lacking
	}
	arguments := arguments{call: c}
	v := a.Judge(&c.Principal, actOf(c, verbs.Of(c), &arguments))
	if v.Allowed && arguments.err != nil {
		return Verdict{Rule: &config.AccessRule{}, Reason: arguments.err.Error()}, ""
	}
	return v, ""
}

func actOf(c *rpc.Call, verb string, a *arguments) Act {
	return Act{Dialect: c.Dialect, Verb: verb, Name: c.Target.Canonical, Own: c.Target.Own, Arguments: a.get}
}

func (a *Access) admit(c *rpc.Call, verbs Verbs, unscoped func(*rpc.Call, string) error) error {
	if used := verbs.Listed(c); used != "" { // lists show what may be used, if only there is a scope for it
		if a.open || auth.Covers(c.Principal.Scopes, c.Dialect, used) || auth.Covers(c.Principal.Scopes, c.Dialect, c.Method.Name) {
			return nil
		}
		return unscoped(c, used)
	}
	verb := verbs.Of(c)
	if verb == "" {
		return nil
	}
	if len(a.rules) == 0 {
		if auth.Covers(c.Principal.Scopes, c.Dialect, verb) {
			return nil
		}
		return unscoped(c, verb)
	}
	arguments := arguments{call: c}
	v := a.Judge(&c.Principal, actOf(c, verb, &arguments))
	switch {
	case arguments.err != nil:
		return arguments.err
	case v.Allowed:
		return nil
	case v.Unscoped:
		return unscoped(c, verb)
	}
	return v.refusal(verb, c.Target.Canonical)
}

// refusal is the error for a call that a rule stands in the way of. The log is told
// which rule.
func (v Verdict) refusal(verb, name string) error {
	what := verb
	if name != "" {
		what += " of " + rpc.Excerpt(name)
	}
	err := rpc.Errorf(rpc.Forbidden, "access rules do not allow %s", what)
	err.Cause = ruleError{v}
	return err
}

// ruleError tells the log which rule stood in the way.
type ruleError struct{ Verdict }

func (e ruleError) Error() string { return "rule at " + e.Rule.Position.String() + " " + e.Reason }

// Sees reports whether a principal may be shown a target in a list: whether it may be
// used, as far as that is known without arguments.
func (a *Access) Sees(p *rpc.Principal, d rpc.Dialect, verb string, t *rpc.Target) bool {
	return a.Judge(p, Act{Dialect: d, Verb: verb, Name: t.Canonical, Own: t.Own}).Allowed
}
