package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RouteRule says who serves some calls, and how. The first rule that matches a call holds for it, and no other does.
type RouteRule struct {
	// Position is where the rule begins.
	Position Position `yaml:"-"`

	// Which calls the rule is about: all parts have to match. Left out, all.
	Match RouteMatch `yaml:"match"`
	// The upstream that serves them instead of the owner of the name. It must have the same name itself. Of a rule with a model, a model.
	To string `yaml:"to" check:"filled"`
	// Several upstreams that serve them, and how many of the calls each gets. A session, or else a caller, stays with one of them.
	Weights map[string]int `yaml:"weights" key:"destination" min:"1" max:"1000000"`
	// An upstream that gets a copy of each call. Its answers are compared and counted, and go to nobody.
	Mirror string `yaml:"mirror" check:"filled"`
	// Whether calls are mirrored that may change something, which then happens twice. Left out, only those that their server marks as read-only or
	// idempotent are.
	MirrorAll bool `yaml:"mirror_all"`
	// Who is asked, one after another, when an upstream cannot be used and the call has not run there, or may run twice.
	Fallback []string `yaml:"fallback" check:"filled" items:"some"`
	// How long the upstream may be silent in such a call, instead of what its own timeout says. Progress begins the time anew.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"24h"`
	// How long such a call may take in all, instead of what the upstream's own max_timeout says. Nothing extends it.
	MaxTimeout time.Duration `yaml:"max_timeout" min:"100ms" max:"168h"`
}

// RouteMatch chooses calls. Names are globs; what is left out is of no concern.
type RouteMatch struct {
	// The method, such as tools/call. What is completed is matched as if it were used.
	Method string `yaml:"method" check:"filled"`
	// The canonical name of the tool (UPSTREAM__name).
	Tool string `yaml:"tool" check:"filled"`
	// The canonical name of the prompt (UPSTREAM__name).
	Prompt string `yaml:"prompt" check:"filled"`
	// The URI of the resource, as its server writes it or as clients are shown it.
	URI string `yaml:"uri" check:"filled"`
	// The model, by its name or as the client calls it.
	Model string `yaml:"model" check:"filled"`
	// The organisation of who calls.
	Org string `yaml:"org" check:"filled"`
	// The team of who calls.
	Team string `yaml:"team" check:"filled"`
	// The id of the API key of who calls.
	Key string `yaml:"key" check:"filled"`
	// The user who calls.
	User string `yaml:"user" check:"filled"`
	// HTTP headers of the request, by name in any case. Of one that is repeated a value has to match.
	Header map[string]string `yaml:"header" key:"matched header" check:"filled" scalar:"any"`
	// A condition in CEL over principal, method, name and args. One that cannot be decided does not hold.
	When *Condition `yaml:"when"`
}

// Who is whose calls the rule is about.
func (m *RouteMatch) Who() Who { return Who{Org: m.Org, Team: m.Team, Key: m.Key, User: m.User} }

// modelMethods are the methods that invoke models.
var modelMethods = []string{"invoke", "invoke_async"}

// Models reports whether the rule is about models, and about nothing else: it names one, or a method that invokes them.
func (m *RouteMatch) Models() bool {
	if m.Method == "" {
		return m.Model != ""
	}
	return strings.HasPrefix(m.Method, "invoke") && slices.ContainsFunc(modelMethods, func(method string) bool { return Match(m.Method, method) }) && m.Tool+m.Prompt+m.URI == ""
}

// everything reports whether the rule matches all calls.
func (m *RouteMatch) everything() bool {
	return m.Method+m.Tool+m.Prompt+m.URI+m.Model == "" && m.Who() == Who{} && len(m.Header) == 0 && m.When == nil
}

// Destinations are whom a rule names: who serves its calls, who may serve them instead, and who gets copies.
func (r *RouteRule) Destinations() []string {
	out := make([]string, 0, 2+len(r.Weights)+len(r.Fallback))
	if r.To != "" {
		out = append(out, r.To)
	}
	for name := range r.Weights {
		out = append(out, name)
	}
	if r.Mirror != "" {
		out = append(out, r.Mirror)
	}
	out = append(out, r.Fallback...)
	slices.Sort(out)
	return slices.Compact(out)
}

// credentialHeaders say who calls, which other parts of a rule are for.
var credentialHeaders = []string{"authorization", "cookie", "proxy-authorization", "x-api-key"}

// checkMatchedHeader allows a field name that holds no secret.
func checkMatchedHeader(s string) error {
	if slices.Contains(credentialHeaders, strings.ToLower(s)) {
		return errors.New("is a credential; match org, team, key or user")
	}
	if err := checkHeader(s); err != nil && !isReserved(s) {
		return err
	}
	return nil
}

// validateRoutes checks what rules name, and which of their keys go together.
func (d *decoder) validateRoutes(list *node, rules []RouteRule, upstreams []string, models []Model) {
	items := elements(list)
	all := -1 // the first rule that matches everything
	for i := range rules {
		r, n, path := &rules[i], items[i], fmt.Sprintf("routes[%d]", i)
		if all >= 0 {
			d.warn(r.Position, path, "no call gets here: the rule at "+rules[all].Position.String()+" matches everything", "put the more particular rule first")
		} else if r.Match.everything() && !d.broken(path) {
			all = i
		}
		d.validateRouteMatch(n.first("match"), &r.Match, join(path, "match"))
		d.validateRouteActions(n, r, path)
		if r.Match.Models() {
			d.validateModelRoute(n, r, path, models)
			continue
		}
		d.validateRouteNames(n, r, path, "upstream", func(name string) bool { return slices.Contains(upstreams, name) }, upstreams)
	}
}

// broken reports whether something in a part of the file was refused, so that less was read of it than it says.
func (f *findings) broken(path string) bool {
	return slices.ContainsFunc(f.problems, func(p Problem) bool { return strings.HasPrefix(p.Field, path) })
}

// validateRouteMatch refuses matches that no call fits.
func (d *decoder) validateRouteMatch(n *node, m *RouteMatch, path string) {
	if n == nil || n.kind != mapping {
		return
	}
	d.exclusive(n, path, "tool", "prompt", "uri", "model")
	d.headerTwice(n.first("header"), join(path, "header"))
	for _, part := range []struct{ key, value, method string }{
		{"tool", m.Tool, "tools/call"}, {"prompt", m.Prompt, "prompts/get"}, {"uri", m.URI, "resources/read"}, {"model", m.Model, "invoke"},
	} {
		if part.value != "" && m.Method != "" && !Match(m.Method, part.method) && (part.key != "model" || !m.Models()) {
			d.fail(firstOf(n, n.first("method")), join(path, "method"), fmt.Sprintf("no call matches: %s goes with %s", part.key, part.method), "remove method")
		}
	}
}

// validateRouteActions checks which actions go together.
func (d *decoder) validateRouteActions(n *node, r *RouteRule, path string) {
	d.exclusive(n, path, "to", "weights")
	if n.first("to") == nil && n.first("weights") == nil && n.first("mirror") == nil && n.first("fallback") == nil &&
		n.first("timeout") == nil && n.first("max_timeout") == nil {
		d.fail(r.Position, path, "the rule does nothing", "add to: UPSTREAM, weights, mirror, fallback, timeout or max_timeout")
	}
	if w := n.first("weights"); w != nil && len(w.members) == 0 && w.kind != text {
		d.fail(w.at, join(path, "weights"), "weights are empty", "name upstreams: weights: {a: 90, b: 10}")
	}
	if r.MirrorAll && r.Mirror == "" && n.first("mirror") == nil {
		d.fail(n.first("mirror_all").at, join(path, "mirror_all"), "mirror_all goes with mirror, which is not set here", "remove it")
	}
	if r.Mirror != "" && (r.Mirror == r.To || r.Weights[r.Mirror] > 0) {
		d.fail(n.first("mirror").at, join(path, "mirror"), fmt.Sprintf("%q is where the calls go anyway", r.Mirror), "name another upstream")
	}
	d.validateFallback(n, r, path)
	if most := n.first("max_timeout"); most != nil && 0 < r.MaxTimeout && r.MaxTimeout < r.Timeout {
		d.fail(most.at, join(path, "max_timeout"), fmt.Sprintf("max_timeout (%s) is shorter than timeout (%s)", r.MaxTimeout, r.Timeout),
			"make timeout shorter or max_timeout longer")
	}
}

// validateFallback refuses stand-ins for themselves, and those that stand twice.
func (d *decoder) validateFallback(n *node, r *RouteRule, path string) {
	seen := map[string]bool{}
	for i, name := range r.Fallback {
		at, field := n.first("fallback").items[i].at, fmt.Sprintf("%s.fallback[%d]", path, i)
		switch {
		case name != "" && name == r.To:
			d.fail(at, field, fmt.Sprintf("%q is whom it stands in for", name), "name another upstream")
		case name != "" && seen[name]:
			d.fail(at, field, fmt.Sprintf("%q stands a second time", name), "keep one")
		}
		seen[name] = true
	}
}

// validateModelRoute checks a rule about models: it names models, by name or alias, or by a name that fits a glob.
func (d *decoder) validateModelRoute(n *node, r *RouteRule, path string, models []Model) {
	if mirror := n.first("mirror"); mirror != nil {
		d.fail(mirror.at, join(path, "mirror"), "a model has no mirror: each answer would cost twice, and no two are the same", "remove it")
		return
	}
	var known []string
	for i := range models {
		known = append(append(known, models[i].Name), models[i].Aliases...)
	}
	known = slices.DeleteFunc(known, func(name string) bool { return name == "" }) // an alias that was refused
	d.validateRouteNames(n, r, path, "model", func(name string) bool { _, m := FindModel(models, name); return m != nil }, known)
}

// validateRouteNames refuses names of destinations that there are none of.
func (d *decoder) validateRouteNames(n *node, r *RouteRule, path, kind string, exists func(string) bool, known []string) {
	check := func(at Position, field, name string) {
		if name != "" && !exists(name) && !d.full() {
			d.fail(at, field, fmt.Sprintf("there is no %s %q", kind, name), knownHint(name, known))
		}
	}
	if r.To != "" {
		check(n.first("to").at, join(path, "to"), r.To)
	}
	if r.Mirror != "" {
		check(n.first("mirror").at, join(path, "mirror"), r.Mirror)
	}
	if w := n.first("weights"); w != nil {
		for _, m := range w.members {
			check(m.at, join(join(path, "weights"), m.key), m.key)
		}
	}
	for i, name := range r.Fallback {
		check(n.first("fallback").items[i].at, fmt.Sprintf("%s.fallback[%d]", path, i), name)
	}
}
