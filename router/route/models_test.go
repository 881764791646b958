package route

import (
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// modelCall is a call for a model, by what the client calls it and by its own name.
func modelCall(t *testing.T, method, exposed, canonical, params string) *rpc.Call {
	t.Helper()
	row, ok := infer.Lookup(method)
	if !ok {
		t.Fatal(method)
	}
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), method, []byte(params)).Clone(), Method: row, Dialect: rpc.Infer,
		Principal: rpc.Principal{Org: "acme", Key: "canary"},
		Target:    rpc.Target{Kind: rpc.Model, Exposed: exposed, Canonical: canonical, Own: canonical, Upstream: canonical},
	}
}

func TestRulesAboutModels(t *testing.T) {
	t.Parallel()
	call := func() *rpc.Call {
		return modelCall(t, infer.Invoke, "default", "llama-70b", `{"model":"default","max_tokens":2000}`)
	}
	tests := map[string]struct {
		match config.RouteMatch
		call  *rpc.Call
		want  bool
	}{
		"the name that the client wrote": {config.RouteMatch{Model: "default"}, call(), true},
		"its own name":                   {config.RouteMatch{Model: "llama-*"}, call(), true},
		"another one":                    {config.RouteMatch{Model: "small-*"}, call(), false},
		"its method":                     {config.RouteMatch{Method: "invoke", Model: "default", Key: "canary"}, call(), true},
		"all models":                     {config.RouteMatch{Method: "invoke*"}, call(), true},
		"the other method":               {config.RouteMatch{Method: "invoke_async", Model: "default"}, call(), false},
		"a job's":                        {config.RouteMatch{Method: "invoke_async", Model: "default"}, modelCall(t, infer.InvokeAsync, "default", "llama-70b", `{}`), true},
		"another caller":                 {config.RouteMatch{Model: "default", Org: "other"}, call(), false},
		"a condition":                    {config.RouteMatch{Model: "default", When: condition(t, "args.max_tokens > 1000")}, call(), true},
		"a condition that fails":         {config.RouteMatch{Model: "default", When: condition(t, "args.max_tokens > 3000")}, call(), false},
		"the method in a condition":      {config.RouteMatch{Model: "*", When: condition(t, "method == 'invoke' && name == 'llama-70b'")}, call(), true},
		"a rule of the other dialect":    {config.RouteMatch{Org: "acme"}, call(), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			models := NewModels([]config.RouteRule{{Match: config.RouteMatch{Model: "never"}, To: "x"}, {Match: tt.match, To: "small"}}, anywhere)
			rule := models.Match(tt.call)
			if (rule != nil) != tt.want || rule != nil && rule.Choose(tt.call) != "small" {
				t.Errorf("matched: %v, want %v", rule, tt.want)
			}
		})
	}
	if NewModels([]config.RouteRule{{Match: config.RouteMatch{Tool: "a"}, To: "b"}}, anywhere) != nil {
		t.Error("a rule about tools is one about models")
	}
	if New([]config.RouteRule{{Match: config.RouteMatch{Method: "invoke"}, To: "b"}}, anywhere) != nil {
		t.Error("a rule about models is one about tools")
	}
}

// Calls are divided in proportion to the weights among the models that are there, and a caller stays where it is.
func TestWeightsOfModels(t *testing.T) {
	t.Parallel()
	models := NewModels([]config.RouteRule{{Match: config.RouteMatch{Model: "default"}, Weights: map[string]int{"a": 3, "b": 1, "off": 100}}},
		func(name string) bool { return name != "off" })
	got := map[string]int{}
	for range 400 {
		c := modelCall(t, infer.Invoke, "default", "a", `{}`)
		c.Principal = rpc.Principal{} // who draws for itself each time
		got[models.Match(c).Choose(c)]++
	}
	if got["a"] < 250 || got["b"] < 50 || got["a"]+got["b"] != 400 {
		t.Errorf("divided %v", got)
	}
	c := modelCall(t, infer.Invoke, "default", "a", `{}`)
	first := models.Match(c).Choose(c)
	for range 20 {
		if models.Match(c).Choose(c) != first {
			t.Fatal("a caller does not stay")
		}
	}
}
