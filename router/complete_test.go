package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_7_CompletionsGoWhereTheirReferenceLeads(t *testing.T) {
	t.Parallel()
	echo := func(templates string) *upstream {
		return &upstream{results: map[string]string{
			mcp.Complete: "echo", mcp.PromptsList: `{"prompts":[{"name":"ask"}]}`,
			mcp.ResourcesList: `{"resources":[{"uri":"x://both"}]}`, mcp.TemplatesList: templates,
		}}
	}
	a, b := echo(`{"resourceTemplates":[{"uriTemplate":"x://{p}"}]}`), echo(`{"resourceTemplates":[{"uriTemplate":"x://{p}"},{"uriTemplate":"y://{q}"}]}`)
	g := newGateway(t, []string{"a", "b"}, map[string]*upstream{"a": a, "b": b})
	for ref, want := range map[string]string{
		`{"type":"ref/prompt","name":"b__ask","title":"t"}`: `"result":{"ref":{"type":"ref/prompt","name":"ask","title":"t"}}`,
		`{"type":"ref/resource","uri":"x://b+{p}"}`:         `"result":{"ref":{"type":"ref/resource","uri":"x://{p}"}}`,
		`{"type":"ref/resource","uri":"y://{q}"}`:           `"result":{"ref":{"type":"ref/resource","uri":"y://{q}"}}`,
		`{"type":"ref/resource","uri":"x://b+both"}`:        `"result":{"ref":{"type":"ref/resource","uri":"x://both"}}`,
		`{"type":"ref/resource","uri":"z://{q}"}`:           `invalid_params: unknown resource template "z://{q}"`,
		`{"type":"ref/prompt","name":"ask"}`:                `invalid_params: unknown prompt "ask"`,
		`{"type":"ref/prompt","name":"b__ask","Name":"no"}`: `invalid_params: member "Name" of params.ref is name in another case`,
		`{"Type":"ref/prompt","name":"b__ask"}`:             `invalid_params: member "Type" of params.ref is type in another case`,
		`{"type":1,"name":"b__ask"}`:                        `invalid_params: params.ref.type must be a string`,
		`{"type":"ref/prompt"}`:                             `invalid_params: params.ref.name must be a string`,
		`{"type":"ref/other","name":"x"}`:                   `invalid_params: params.ref.type "ref/other" is neither`,
		`"x"`:                                               `invalid_params: params.ref must be an object`,
	} {
		got := g.call("/mcp", mcp.Complete, `{"ref":`+ref+`,"argument":{"name":"p","value":""}}`)
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
	if len(a.got()) != 0 || len(b.got()) != 4 {
		t.Errorf("a got %q, b %q", a.got(), b.got())
	}
	if got := g.call("/mcp", mcp.Complete, `{}`); !strings.HasPrefix(got, "invalid_params") {
		t.Errorf("without a reference: %s", got)
	}
	if got := g.call("/mcp/a", mcp.Complete, `{"ref":{"type":"ref/new","x":1}}`); got != `"result":{"ref":{"type":"ref/new","x":1}}` {
		t.Errorf("of its own endpoint: %s", got)
	}
}

func TestCorner5_7_WhoCompletesNothingIsNotAsked(t *testing.T) {
	t.Parallel()
	prompts := map[string]string{mcp.PromptsList: `{"prompts":[{"name":"ask"}]}`, mcp.Complete: `{"completion":{"values":["v"]}}`}
	upstreams := map[string]*upstream{
		"does":   {results: prompts, capabilities: `{"prompts":{},"completions":{}}`},
		"lacks":  {results: prompts, capabilities: `{"prompts":{}}`},
		"silent": {results: prompts},
	}
	g := newGateway(t, []string{"does", "lacks", "silent"}, upstreams)
	for upstream, want := range map[string]string{
		"does": `"result":{"completion":{"values":["v"]}}`, "silent": `"result":{"completion":{"values":["v"]}}`,
		"lacks": `method_not_found: upstream "lacks" completes nothing`,
	} {
		if got := g.call("/mcp", mcp.Complete, `{"ref":{"type":"ref/prompt","name":"`+upstream+`__ask"}}`); got != want {
			t.Errorf("%s: %s", upstream, got)
		}
	}
	if sent := upstreams["lacks"].got(); len(sent) != 0 {
		t.Errorf("it was sent %q", sent)
	}
}

func TestCorner5_7_LongCompletionsAreCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ values, want int }{{100, 100}, {101, 100}, {0, 0}} {
		values := strings.TrimSuffix(strings.Repeat(`"<v>",`, tt.values), ",")
		u := &upstream{results: map[string]string{
			mcp.Complete:    fmt.Sprintf(`{"completion":{"values":[%s],"total":%d}}`, values, tt.values),
			mcp.PromptsList: `{"prompts":[{"name":"ask"}]}`,
		}}
		g := newGateway(t, []string{"u"}, map[string]*upstream{"u": u})
		got := g.call("/mcp", mcp.Complete, `{"ref":{"type":"ref/prompt","name":"u__ask"}}`)
		if n := strings.Count(got, `"<v>"`); n != tt.want || strings.Contains(got, `"hasMore":true`) != (tt.values > tt.want) {
			t.Errorf("%d values became %d: %.200s", tt.values, n, got)
		}
	}
}

// On an endpoint of its own too, what is completed is what rules are about.
func TestCompletionsOfOneUpstreamAreAboutSomething(t *testing.T) {
	t.Parallel()
	g := newGateway(t, []string{"a"}, map[string]*upstream{"a": {results: map[string]string{
		mcp.PromptsList: `{"prompts":[{"name":"ask"}]}`, mcp.TemplatesList: `{"resourceTemplates":[{"name":"t","uriTemplate":"x://{q}"}]}`,
	}}})
	row, _ := mcp.Lookup(mcp.Complete, mcp.LatestLegacy)
	for ref, want := range map[string]rpc.Target{
		`{"type":"ref/prompt","name":"ask"}`:        {Kind: rpc.Prompt, Canonical: "a__ask", Own: "ask"},
		`{"type":"ref/prompt","name":"unlisted"}`:   {Kind: rpc.Prompt, Canonical: "a__unlisted", Own: "unlisted"},
		`{"type":"ref/resource","uri":"x://{q}"}`:   {Kind: rpc.Resource, Canonical: "x://a+{q}", Own: "x://{q}"},
		`{"type":"ref/resource","uri":"new://{q}"}`: {Kind: rpc.Resource, Canonical: "new://a+{q}", Own: "new://{q}"},
		`{"type":"ref/new"}`:                        {},
	} {
		c := &rpc.Call{
			Message: rpc.NewRequest(rpc.NumberID(1), mcp.Complete, []byte(`{"ref":`+ref+`}`)), Method: row, Endpoint: "/mcp/a", Client: g.client,
		}
		if err := g.Locate(t.Context(), c); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		got := rpc.Target{Kind: c.Target.Kind, Canonical: c.Target.Canonical, Own: c.Target.Own}
		if diff := cmp.Diff(want, got); diff != "" || c.Target.Upstream != "a" {
			t.Errorf("%s: %s", ref, diff)
		}
	}
}
