package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

// suites starts the two servers of the conformance suite, one of each era, which have
// the same names and URIs, and one whose resources nobody else has.
func suites(t *testing.T) string {
	t.Helper()
	g := startGateway(t, "upstreams:\n"+
		httpUpstream("old", peer.Serve(t, peer.GoSDKSuiteLegacy).URL)+
		httpUpstream("new", peer.Serve(t, peer.GoSDKSuiteModern).URL)+
		httpUpstream("mcpgo", peer.Serve(t, peer.MCPGoEverything).URL))
	return endpoint(g, "/mcp")
}

// By a client of each era.
func TestCorner5_6_EveryListedResourceCanBeRead(t *testing.T) {
	t.Parallel()
	url := suites(t)
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		s := goSDKSession(t, overHTTP(url), revision)
		shown := map[string]int{}
		for r, err := range s.Resources(t.Context(), nil) {
			if err != nil {
				t.Fatalf("%s: list: %v", revision, err)
			}
			shown[ownerOf(r.URI)]++
			res, err := s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: r.URI})
			if err != nil || len(res.Contents) == 0 {
				t.Errorf("%s: read %s: %v", revision, r.URI, err)
				continue
			}
			if got := res.Contents[0].URI; got != r.URI {
				t.Errorf("%s: what is read as %s calls itself %s", revision, r.URI, got)
			}
		}
		if shown["old"] == 0 || shown["old"] != shown["new"] || shown[""] < 100 {
			t.Errorf("%s: shown by owner: %v", revision, shown)
		}
		templates := map[string]int{}
		for r, err := range s.ResourceTemplates(t.Context(), nil) {
			if err != nil {
				t.Fatalf("%s: list templates: %v", revision, err)
			}
			owner := ownerOf(r.URITemplate)
			templates[owner]++
			if owner == "" {
				continue
			}
			uri := strings.NewReplacer("{id}", "7").Replace(r.URITemplate)
			res, err := s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: uri})
			if err != nil || len(res.Contents) == 0 || res.Contents[0].URI != uri {
				t.Errorf("%s: read %s: %s, %v", revision, uri, jsonOf(t, res), err)
			}
		}
		if templates["old"] == 0 || templates["old"] != templates["new"] {
			t.Errorf("%s: templates shown by owner: %v", revision, templates)
		}
		if _, err := s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: "test://nobody/has/this"}); err == nil {
			t.Errorf("%s: what nobody has can be read", revision)
		}
	}
}

// ownerOf returns the upstream that a shown URI names.
func ownerOf(uri string) string {
	for _, name := range []string{"old", "new", "mcpgo"} {
		if strings.Contains(uri, "://"+name+"+") {
			return name
		}
	}
	return ""
}

// By a client of each era.
func TestCorner5_5_PromptsAndCompletionsOfEveryServer(t *testing.T) {
	t.Parallel()
	url := suites(t)
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		s := goSDKSession(t, overHTTP(url), revision)
		count := 0
		for _, err := range s.Prompts(t.Context(), nil) {
			if err != nil {
				t.Fatalf("%s: list: %v", revision, err)
			}
			count++
		}
		if count < 4 {
			t.Errorf("%s: %d prompts are listed", revision, count)
		}
		for _, upstream := range []string{"old", "new"} {
			got, err := s.GetPrompt(t.Context(), &gosdk.GetPromptParams{Name: upstream + "__test_simple_prompt"})
			if err != nil || len(got.Messages) == 0 {
				t.Errorf("%s: prompt of %s: %v", revision, upstream, err)
			}
			embedded, err := s.GetPrompt(t.Context(), &gosdk.GetPromptParams{
				Name: upstream + "__test_prompt_with_embedded_resource", Arguments: map[string]string{"resourceUri": "test://static-text"},
			})
			if want := `"test://` + upstream + `+static-text"`; err != nil || !strings.Contains(jsonOf(t, embedded), want) {
				t.Errorf("%s: the prompt of %s embeds %s, %v; want %s", revision, upstream, jsonOf(t, embedded), err, want)
			}
			done, err := s.Complete(t.Context(), &gosdk.CompleteParams{
				Ref:      &gosdk.CompleteReference{Type: "ref/prompt", Name: upstream + "__test_prompt_with_arguments"},
				Argument: gosdk.CompleteParamsArgument{Name: "arg1", Value: "test"},
			})
			if err != nil {
				t.Errorf("%s: completion by %s: %s, %v", revision, upstream, jsonOf(t, done), err)
			}
		}
	}
}

// The capabilities of the merged endpoint are those of its upstreams.
func TestCorner5_8_TheMergedEndpointOffersWhatItsUpstreamsHave(t *testing.T) {
	t.Parallel()
	url := suites(t)
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		text := jsonOf(t, goSDKSession(t, overHTTP(url), revision).InitializeResult().Capabilities)
		var got map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tools", "prompts", "resources", "completions"} {
			if got[name] == nil {
				t.Errorf("%s: %s is missing in %s", revision, name, text)
			}
		}
	}
}

// What the views of apps, and the programs that show them, do.
func TestCorner5_13_AppsWorkOnTheMergedEndpoint(t *testing.T) {
	t.Parallel()
	const definition = `{"name":"refresh","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://clock/view","visibility":["app"]}}}`
	for _, era := range []fake.Era{fake.Legacy, fake.Modern} {
		_, url := fakeUpstream(t, fake.Config{Eras: era, Tools: []fake.Tool{
			{Name: "refresh", Definition: json.RawMessage(definition), Behaviour: fake.Echo},
		}})
		_, other := fakeUpstream(t, fake.Config{Eras: era})
		g := startGateway(t, "upstreams:\n"+httpUpstream("clock", url)+httpUpstream("other", other))
		old, modern := legacy(t, endpoint(g, "/mcp"), "{}"), &raw{t: t, url: endpoint(g, "/mcp")}
		res, body := old.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil)
		if got := message(res, body); !strings.Contains(got, `"name":"clock__refresh"`) || !strings.Contains(got, `"resourceUri":"ui://clock+clock/view"`) {
			t.Errorf("listed: %s", got)
		}
		res, body = old.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"refresh","arguments":{"a":"b"}}}`, nil)
		if got := message(res, body); !strings.Contains(got, `"text":"b"`) {
			t.Errorf("a legacy client's call: %s", got)
		}
		res, body = modern.post(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"refresh","arguments":{"a":"b"},`+modernMeta+`}}`, modernHeaders("tools/call", "refresh"))
		if got := message(res, body); !strings.Contains(got, `"text":"b"`) {
			t.Errorf("a modern client's call: %s", got)
		}
	}
}
