package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/modeltool"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// toolSource is what the upstream is called that shows models as tools on an endpoint. No other one can be called so.
func toolSource(path string) string { return "models:" + path }

// toolsOfModels makes what shows models as tools, for each endpoint that has some.
func (g *Gateway) toolsOfModels(n *generation) {
	n.tools = map[string]*modeltool.Server{}
	for _, e := range n.cfg.Endpoints {
		if len(e.Models) > 0 {
			n.tools[toolSource(e.Path)] = modeltool.New(modeltool.Options{
				Models: shownModels(n.cfg.Models, e.Models), Invoke: g.invoke, MayStream: n.mayStream, MaxResult: int(n.cfg.Bounds.Result),
			})
		}
	}
}

// shownModels are the models that patterns stand for: those with a name of their own that fits, and those that are named in full, be it by an
// alias or as one that a glob serves. What a glob serves else is not known.
func shownModels(models []config.Model, patterns []string) (out []modeltool.Model) {
	add := func(name string) {
		canonical, m := config.FindModel(models, name)
		if m != nil && m.Disabled == "" && !slices.ContainsFunc(out, func(o modeltool.Model) bool { return o.Name == canonical }) {
			out = append(out, modeltool.Model{Name: canonical, Context: m.Context})
		}
	}
	for _, pattern := range patterns {
		if !strings.ContainsAny(pattern, "*?") {
			add(pattern)
			continue
		}
		for i := range models {
			if !models[i].Glob() && config.Match(pattern, models[i].Name) {
				add(models[i].Name)
			}
		}
	}
	return out
}

// toolSources shows the tools of models to the catalogue.
func (g *Gateway) toolSources(n *generation) (out []catalog.Source) {
	type listed struct{ source, list string }
	for _, e := range n.cfg.Endpoints {
		name := toolSource(e.Path)
		if s := n.tools[name]; s != nil {
			out = append(out, catalog.Source{
				Name: name, Key: listed{name, s.Listed()}, Handler: g.bridge.Cross(s), Describe: describeTools,
				Allows: func(string) bool { return true }, Listed: true, Apart: true,
			})
		}
	}
	return out
}

// seesTool reports whether a caller may ask the model that a tool asks; of any other tool it says yes.
func (n *generation) seesTool(c *rpc.Call, t *rpc.Target) bool {
	if t.Kind != rpc.Tool || n.tools[t.Upstream] == nil {
		return true
	}
	target, ok := n.models.Find(modeltool.ModelOf(t.Own))
	return ok && n.access.Sees(&c.Principal, rpc.Infer, infer.Invoke, &target)
}

// describeTools is what the server of such tools says of itself.
func describeTools(context.Context) (catalog.Description, error) {
	return catalog.Description{Era: rpc.Modern, Server: "models", Capabilities: json.RawMessage(`{"tools":{}}`)}, nil
}
