package policy

import (
	"fmt"
	"strings"

	"github.com/headgate/headgate/config"
)

// accessRule is a rule as it is matched.
type accessRule struct {
	config.AccessRule
	allow, deny []accessPattern
}

// accessPattern is METHOD or METHOD:NAME of a rule.
type accessPattern struct {
	method, name string // globs
	named        bool
}

func accessPatterns(texts []string) []accessPattern {
	out := make([]accessPattern, 0, len(texts))
	for _, text := range texts {
		method, name, named := strings.Cut(text, ":")
		out = append(out, accessPattern{method, name, named})
	}
	return out
}

func (p accessPattern) matches(act *Act) bool {
	switch {
	case !config.Match(p.method, act.Verb):
		return false
	case !p.named:
		return true
	}
	return config.Match(p.name, act.Name) || act.Own != "" && act.Verb == "resources/read" && config.Match(p.name, act.Own)
}

// objection says why the rule stands in the way of an act that its principal wants to
// do; it is empty if it does not.
func (r *accessRule) objection(act *Act, facts accessFacts) string {
	reason := r.complaint(act)
	if reason == "" || r.When == nil {
		return reason
	}
	if r.When.NeedsArguments() && act.Arguments == nil {
		return "" // the list shows what some arguments could be used with
	}
	holds, err := r.When.Holds(facts)
	switch {
	case err != nil: // to let pass what nobody understands would be to have no rule
		return "cannot be decided: " + err.Error()
	case !holds:
		return ""
	}
	return reason + fmt.Sprintf(" when %s", r.When)
}

// complaint is the objection of a rule without its condition.
func (r *accessRule) complaint(act *Act) string {
	for i, p := range r.deny {
		if p.matches(act) {
			return "denies " + r.Deny[i]
		}
	}
	if len(r.allow) == 0 {
		return ""
	}
	for _, p := range r.allow {
		if p.matches(act) {
			return ""
		}
	}
	return "allows only " + strings.Join(r.Allow, ", ")
}
