package route

import (
	"fmt"
	"net/textproto"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Rule is a rule of the configuration, compiled.
type Rule struct {
	rpc.Route // what is true of the calls wherever they go

	order   int // among the rules
	kind    rpc.Kind
	name    string // a glob for what kind is about; empty if any will do
	method  string // a glob; likewise
	who     config.Who
	anybody bool
	headers []header
	when    *config.Condition

	to       string
	weighted bool    // calls are divided
	shares   []share // among whom, of those that are there
}

// header is a field that calls must have.
type header struct{ name, value string }

// headerOf returns the condition on a header: its name, whose case does not matter
// (RFC 9110 §5.1), and a glob for its value.
func headerOf(name, value string) header {
	return header{textproto.CanonicalMIMEHeaderKey(name), value}
}

// concerns reports whether calls of a kind can match at all.
func (r *Rule) concerns(kind rpc.Kind) bool {
	switch {
	case r.kind != rpc.None && r.kind != kind:
		return false
	case r.method == "" || kind == rpc.None:
		return true
	}
	return config.Match(r.method, mcp.VerbOf(kind))
}

// matches reports whether a call of a kind that the rule concerns fits all its
// parts.
func (r *Rule) matches(c *rpc.Call, t *rpc.Target) bool {
	if r.name != "" && !config.Match(r.name, t.Canonical) && !r.matchesOther(t) {
		return false
	}
	if (t.Kind == rpc.None || t.Kind == rpc.Model) && r.method != "" && !config.Match(r.method, c.Method.Name) {
		return false
	}
	if p := &c.Principal; !r.anybody && !r.who.Matches(p.Org, p.Team, p.Key, p.User) {
		return false
	}
	for i := range r.headers {
		if !r.headers[i].in(c.Header) {
			return false
		}
	}
	return r.when == nil || r.holds(c, t)
}

// matchesOther reports whether a rule fits another name of a target than the canonical one: the URI of a resource as its server writes it, or
// what a client calls a model.
func (r *Rule) matchesOther(t *rpc.Target) bool {
	switch t.Kind {
	case rpc.Resource:
		return config.Match(r.name, t.Own)
	case rpc.Model:
		return config.Match(r.name, t.Exposed)
	}
	return false
}

// in reports whether a field of the name has a value that fits, whichever of several.
func (h *header) in(fields map[string][]string) bool {
	for _, value := range fields[h.name] {
		if config.Match(h.value, value) {
			return true
		}
	}
	return false
}

// holds decides the condition of a rule. One that cannot be decided does not hold.
func (r *Rule) holds(c *rpc.Call, t *rpc.Target) bool {
	f := facts{call: c, target: t}
	ok, err := r.when.Holds(&f)
	return ok && err == nil && f.err == nil
}

// Choose returns the upstream that serves a call; empty if that is left to who owns
// the name, or if none of those is there among whom calls are divided.
func (r *Rule) Choose(c *rpc.Call) string {
	if r.to != "" || len(r.shares) == 0 {
		return r.to
	}
	return choose(r.shares, drawFor(c))
}

// describe says what the rule does.
func (r *Rule) describe() string {
	var parts []string
	if r.to != "" {
		parts = append(parts, "to "+r.to)
	}
	if r.weighted {
		shares := make([]string, len(r.shares))
		for i, s := range r.shares {
			shares[i] = fmt.Sprintf("%s %d", s.upstream, int(s.weight))
		}
		parts = append(parts, "divided among "+strings.Join(shares, ", "))
	}
	if r.Mirror != "" {
		parts = append(parts, "mirrored to "+r.Mirror)
	}
	if len(r.Fallback) > 0 {
		parts = append(parts, "fallback "+strings.Join(r.Fallback, ", "))
	}
	if r.Timeout > 0 {
		parts = append(parts, "timeout "+r.Timeout.String())
	}
	if r.MaxTimeout > 0 {
		parts = append(parts, "max_timeout "+r.MaxTimeout.String())
	}
	return strings.Join(parts, "; ")
}
