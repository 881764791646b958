package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// passes is the outcome of a call that nothing stands in the way of.
const passes = "passes"

// Explain says what would become of a call, stage by stage, without making it.
func (g *Gateway) Explain(ctx context.Context, q admin.Question) (admin.Explanation, error) {
	e := explaining{gateway: g, generation: g.generation(), Explanation: admin.Explanation{Outcome: passes}}
	c, err := g.supposed(q)
	if err != nil {
		return e.Explanation, err
	}
	e.identity(c)
	if e.resolve(ctx, c) {
		e.access(c)
		e.limits(ctx, c)
		e.upstream(c)
	}
	return e.Explanation, nil
}

// supposed makes the call that a question is about.
func (g *Gateway) supposed(q admin.Question) (*rpc.Call, error) {
	if len(q.Arguments) > 0 && q.Arguments[0] != '{' {
		return nil, fmt.Errorf("arguments must be an object")
	}
	address, err := netip.ParseAddr(cmp.Or(q.Address, "127.0.0.1"))
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	principal, err := g.supposedCaller(q)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for name, value := range q.Headers {
		header.Set(name, value)
	}
	c := &rpc.Call{Received: time.Now(), Header: header, Bare: true, Remote: netip.AddrPortFrom(address, 0), Principal: principal}
	if q.Method == infer.Invoke {
		supposeInvoke(c, q)
		return c, nil
	}
	return c, suppose(c, q)
}

// suppose makes a call about a tool, a prompt or a resource.
func suppose(c *rpc.Call, q admin.Question) error {
	method, ok := mcp.Lookup(q.Method, mcp.LatestModern)
	if !ok || method.Dest != rpc.Owner || method.Subject == "" {
		return fmt.Errorf("method %q names nothing that could be explained: ask for tools/call, prompts/get, resources/read or invoke", q.Method)
	}
	m := rpc.NewRequest(rpc.NumberID(1), method.Name, nil)
	m.Set(string(method.Subject), rpc.AppendString(nil, q.Name))
	if len(q.Arguments) > 0 {
		m.Set("arguments", q.Arguments)
	}
	c.Message, c.Method, c.Dialect, c.Endpoint = m.Clone(), method, rpc.MCP, cmp.Or(q.Endpoint, config.DefaultEndpoint)
	c.Client = rpc.Client{Revision: mcp.LatestModern, Era: rpc.Modern, Capabilities: json.RawMessage("{}")}
	return nil
}

// supposedCaller is who makes the call: the bearer of a key, or who the question
// describes.
func (g *Gateway) supposedCaller(q admin.Question) (rpc.Principal, error) {
	if q.As == "" {
		return rpc.Principal{Org: q.Org, Team: q.Team, User: q.User, Scopes: q.Scopes}, nil
	}
	if gate := g.generation().gate; gate != nil {
		if p, ok := gate.Bearer(q.As); ok {
			return p, nil
		}
	}
	return rpc.Principal{}, fmt.Errorf("there is no API key with the id %q", q.As)
}

// explaining is an explanation in the making.
type explaining struct {
	admin.Explanation
	gateway    *Gateway
	generation *generation
}

// step notes what a stage does. The first that refuses decides.
func (e *explaining) step(stage string, code string, format string, args ...any) {
	if code != "" && e.Outcome == passes {
		e.Outcome = code
	}
	e.Steps = append(e.Steps, admin.Step{Stage: stage, Passes: code == "", Reason: fmt.Sprintf(format, args...)})
}

func (e *explaining) identity(c *rpc.Call) {
	if e.generation.cfg.Auth == nil {
		e.step("auth", "", "nobody is asked for a credential: everybody who can connect may do everything that rules leave")
		return
	}
	p := c.Principal
	var parts []string
	for _, part := range [][2]string{{"organisation", p.Org}, {"team", p.Team}, {"key", p.Key}, {"user", p.User}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	e.step("auth", "", "%s, with the scopes [%s]", cmp.Or(strings.Join(parts, ", "), "a caller of no organisation"), strings.Join(p.Scopes, " "))
}

// resolve reports whether the call is about anything that somebody serves.
func (e *explaining) resolve(ctx context.Context, c *rpc.Call) bool {
	if c.Dialect == rpc.Infer {
		return e.resolveModel(c)
	}
	err := e.generation.router.Locate(ctx, c)
	if err != nil && c.Route == nil {
		known := rpc.AsError(err)
		e.step("resolve", known.Code.String(), "%s", known.Message)
		return false
	}
	t := c.Target
	e.Canonical, e.Upstream = t.Canonical, t.Upstream
	if t.Upstream == "" || c.Route != nil && t.Canonical == "" {
		e.step("resolve", "", "no upstream is known to have %s: those of %s are asked one after another", t.Own, c.Endpoint)
	} else {
		e.step("resolve", "", "%s is %s of upstream %s; rules know it as %s", rpc.Excerpt(t.Exposed), rpc.Excerpt(t.Own), t.Whose(), t.Canonical)
	}
	return e.route(c, err)
}

func (e *explaining) access(c *rpc.Call) {
	verbs := verbsOf(c.Dialect)
	verb := verbs.Of(c)
	e.Listed = e.generation.access.Sees(&c.Principal, c.Dialect, verb, &c.Target)
	v, lacking := e.generation.access.Explain(c, verbs)
	switch {
	case v.Allowed:
		e.step("access", "", "allowed; %s", hiddenOr(e.Listed))
	case v.Unscoped:
		e.step("access", rpc.Forbidden.String(), "none of the scopes is good for %s; %s", lacking, hiddenOr(e.Listed))
	default:
		e.step("access", rpc.Forbidden.String(), "the rule at %s %s; %s", v.Rule.Position, v.Reason, hiddenOr(e.Listed))
	}
}

func hiddenOr(listed bool) string {
	if listed {
		return "lists show it"
	}
	return "lists hide it"
}

func (e *explaining) limits(ctx context.Context, c *rpc.Call) {
	for _, s := range e.generation.limits.Explain(ctx, c) {
		e.step("limits", s.Refusal, "%s", s.Reason)
	}
	if e.generation.cache != nil && e.generation.cache.Concerns(c) {
		e.step("cache", "", "an answer that was given before may be given again")
	}
}

func (e *explaining) upstream(c *rpc.Call) {
	if c.Target.Kind == rpc.Model {
		e.model(c)
		return
	}
	for _, u := range e.gateway.Upstreams() {
		if u.Name != c.Target.Upstream {
			continue
		}
		if u.State == Down && c.Route != nil && len(c.Route.Fallback) > 0 {
			e.step("upstream", "", "%s is %s: %s; then it is tried at %s", u.Name, u.State, u.Note, strings.Join(c.Route.Fallback, ", "))
			return
		}
		if u.State == Down || u.State == Disabled {
			e.step("upstream", rpc.UpstreamDown.String(), "%s is %s: %s", u.Name, u.State, u.Note)
			return
		}
		e.step("upstream", "", "%s is %s", u.Name, u.State)
	}
}
