package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake/engine"
)

// A caller is shown the models that it may use, by initialize and by status, and no others.
func TestInferShowsWhatMayBeUsed(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{Models: []string{"large", "small-1", "small-2"}})
	section, key := bearers(
		bearer{id: "all", org: "acme", scopes: `"infer:*"`}, bearer{id: "some", org: "acme", scopes: `"infer:invoke"`},
		bearer{id: "tools", org: "acme", scopes: `"mcp:*"`},
	)
	g := startGateway(t, section+fmt.Sprintf(`
models:
  large: {backends: [{kind: openai, url: "%[1]s/v1"}]}
  small-*: {backends: [{kind: openai, url: "%[1]s/v1"}]}
access:
  - {who: {key: some}, allow: ["invoke:small-*"]}
`, e.URL))
	for id, want := range map[string][]string{"all": {"large", "small"}, "some": {"small"}, "tools": nil} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			a := askerOf(t, g)
			a.token = key[id]
			for _, method := range []string{"initialize", "status"} {
				var seen struct{ Models []struct{ Name string } }
				a.ask(method, nil, &seen)
				var got []string
				for _, m := range seen.Models {
					family, _, _ := strings.Cut(m.Name, "-") // of a glob it, or the models that the engine has
					if !slices.Contains(got, family) {
						got = append(got, family)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s shows %v, want %v", method, seen.Models, want)
				}
			}
			for _, model := range []string{"large", "small-2"} {
				family, _, _ := strings.Cut(model, "-")
				got := a.send(fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"p"}}`, model))
				if may := got.status == 200; may != slices.Contains(want, family) || !may && got.status != 403 {
					t.Errorf("an invoke of %s is answered with %d %s", model, got.status, got.text)
				}
			}
			streamed := a.send(`{"id":1,"method":"invoke","params":{"model":"small-1","prompt":"p","stream":true}}`)
			if may := streamed.status == 200; may != (id == "all") { // it takes a scope of its own
				t.Errorf("a stream is answered with %d %s", streamed.status, streamed.text)
			}
		})
	}
}
