package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/test/fake"
)

// replica is one of several servers with the same tools, each of which says who it is.
type replica struct {
	*gosdk.Server
	web   *httptest.Server
	calls atomic.Int64
	gone  chan struct{} // closed by close
}

// close ends the server, with the calls that it has not answered.
func (r *replica) close() {
	select {
	case <-r.gone:
		return
	default:
	}
	close(r.gone)
	r.web.CloseClientConnections()
	r.web.Close()
}

func startReplica(t *testing.T, name string, modern bool) *replica {
	t.Helper()
	r := &replica{gone: make(chan struct{}), Server: gosdk.NewServer(&gosdk.Implementation{Name: name, Version: "1"}, nil)}
	says := func(texts ...string) gosdk.ToolHandler {
		return func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			n := r.calls.Add(1)
			return &gosdk.CallToolResult{Meta: gosdk.Meta{"n": n}, Content: []gosdk.Content{&gosdk.TextContent{Text: strings.Join(texts, " ")}}}, nil
		}
	}
	add := func(tool string, readOnly bool, h gosdk.ToolHandler) {
		r.AddTool(&gosdk.Tool{Name: tool, InputSchema: map[string]any{"type": "object"}, Annotations: &gosdk.ToolAnnotations{ReadOnlyHint: readOnly, IdempotentHint: readOnly}}, h)
	}
	add("who", true, says("by", name))
	add("same", true, says("the same"))
	add("change", false, says("changed by", name))
	add("hidden", true, says("shown by", name))
	add("stall", true, func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		if name == "one" {
			select {
			case <-ctx.Done():
			case <-r.gone:
			}
			return nil, context.Canceled
		}
		return says("by", name)(ctx, req)
	})
	greet := greetAsking
	if modern {
		greet = greetByInput
	}
	add("greet", false, func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		res, err := greet(ctx, req)
		if err == nil && res.InputRequests == nil {
			res.Content = append(res.Content, &gosdk.TextContent{Text: "by " + name})
			r.calls.Add(1)
		}
		return res, err
	})
	read := func(_ context.Context, req *gosdk.ReadResourceRequest) (*gosdk.ReadResourceResult, error) {
		return &gosdk.ReadResourceResult{Contents: []*gosdk.ResourceContents{{URI: req.Params.URI, Text: "by " + name}}}, nil
	}
	r.AddResource(&gosdk.Resource{URI: note, Name: "note"}, read)
	r.AddPrompt(&gosdk.Prompt{Name: "hello"}, func(context.Context, *gosdk.GetPromptRequest) (*gosdk.GetPromptResult, error) {
		return &gosdk.GetPromptResult{Messages: []*gosdk.PromptMessage{{Role: "user", Content: &gosdk.TextContent{Text: "by " + name}}}}, nil
	})
	r.web = httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return r.Server }, &gosdk.StreamableHTTPOptions{Stateless: modern}))
	t.Cleanup(r.close)
	return r
}

// startReplicas runs a gateway that shows the tools of "one" and routes to "two", which it does not show.
func startReplicas(t *testing.T, modern bool, section string) (g *gateway.Gateway, one, two *replica) {
	t.Helper()
	one, two = startReplica(t, "one", modern), startReplica(t, "two", modern)
	g = startGateway(t, section+"endpoints: {/mcp: {upstreams: [one]}}\nupstreams:\n"+httpUpstream("one", one.web.URL)+
		fmt.Sprintf("  two: {url: %q, tools: {deny: [hidden]}}\n", two.web.URL))
	return g, one, two
}

// eras runs a test with servers of both eras.
func eras(t *testing.T, test func(t *testing.T, modern bool)) {
	t.Helper()
	for name, modern := range map[string]bool{"legacy servers": false, "modern servers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, modern)
		})
	}
}

var revisions = []string{"2025-11-25", "2026-07-28"}

// callText calls a tool and returns what it says, or the error.
func callText(t *testing.T, s *gosdk.ClientSession, tool string) string {
	t.Helper()
	res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: tool, Arguments: map[string]any{}})
	if err != nil {
		return err.Error()
	}
	var texts []string
	for _, c := range res.Content {
		texts = append(texts, c.(*gosdk.TextContent).Text)
	}
	return strings.Join(texts, "; ")
}

func TestCallsGoWhereRulesSendThem(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		g, _, _ := startReplicas(t, modern, `routes:
  - {match: {tool: one__who}, to: two}
  - {match: {tool: one__hidden}, to: two}
  - {match: {prompt: "one__*"}, to: two}
  - {match: {uri: "`+note+`"}, to: two}
  - {match: {method: tools/call}, to: one}
`)
		for _, revision := range revisions {
			s := goSDKSession(t, overHTTP(endpoint(g, "/mcp")), revision)
			if got := callText(t, s, "one__who"); got != "by two" {
				t.Errorf("%s: a tool is answered %s", revision, got)
			}
			if got := callText(t, s, "one__change"); got != "changed by one" {
				t.Errorf("%s: another tool is answered %s", revision, got)
			}
			if got := callText(t, s, "one__hidden"); !strings.Contains(got, "unknown tool") {
				t.Errorf("%s: a tool that its upstream's filter leaves out is answered %s", revision, got)
			}
			read, err := s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: note})
			if err != nil || read.Contents[0].Text != "by two" || read.Contents[0].URI != note {
				t.Errorf("%s: a resource is answered %s, %v", revision, jsonOf(t, read), err)
			}
			prompt, err := s.GetPrompt(t.Context(), &gosdk.GetPromptParams{Name: "one__hello"})
			if err != nil || prompt.Messages[0].Content.(*gosdk.TextContent).Text != "by two" {
				t.Errorf("%s: a prompt is answered %s, %v", revision, jsonOf(t, prompt), err)
			}
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil || slices.ContainsFunc(tools.Tools, func(tool *gosdk.Tool) bool { return !strings.HasPrefix(tool.Name, "one__") }) {
				t.Errorf("%s: shown are %s, %v", revision, jsonOf(t, tools), err)
			}
		}
	})
}

// What waits for approval at one server is not reachable by way of another.
func TestNoRuleLeadsToWhatIsNotApproved(t *testing.T) {
	t.Parallel()
	one, two := startReplica(t, "one", true), startReplica(t, "two", true)
	g := startGateway(t, "routes: [{match: {tool: \"one__*\"}, to: two}]\npins: {mode: quarantine}\nupstreams:\n"+httpUpstream("one", one.web.URL)+httpUpstream("two", two.web.URL))
	c := modernKey(t, g, "")
	if _, got := c.tool("one__who", "{}"); !strings.Contains(got.text, "by two") {
		t.Fatalf("what is approved: %s", got.text)
	}
	two.AddTool(&gosdk.Tool{Name: "who", Description: "Something else.", InputSchema: map[string]any{"type": "object"}}, func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: "another"}}}, nil
	})
	answers(t, "a tool that has changed", func() string { _, got := c.tool("one__who", "{}"); return got.text }, `"reason":"forbidden"`)
	if _, got := c.tool("one__same", "{}"); !strings.Contains(got.text, "the same") {
		t.Errorf("what has not: %s", got.text)
	}
}

// A call that asks its client in between ends where it began, and so does everything of a session, whoever weights
// choose for others.
func TestWeightsKeepACallTogether(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		g, one, two := startReplicas(t, modern, "routes: [{weights: {one: 1, two: 1}}]\n")
		for _, revision := range revisions {
			var all sync.WaitGroup
			for i := range 12 {
				name := fmt.Sprintf("%s-%d", revision, i)
				s := askedClient(t, endpoint(g, "/mcp"), revision, name)
				all.Go(func() {
					seen := map[string]bool{}
					for range 4 {
						got := callText(t, s, "one__greet")
						text, by, _ := strings.Cut(got, "; ")
						if want := fmt.Sprintf("name=%s roots=file:///%s sample=sample of %s", name, name, name); text != want {
							t.Errorf("%s: %s", name, got)
						}
						seen[by] = true
					}
					if revision == "2025-11-25" && len(seen) != 1 { // nobody knows who a modern client is without a credential
						t.Errorf("%s was served %v", name, seen)
					}
				})
			}
			all.Wait()
		}
		if a, b := one.calls.Load(), two.calls.Load(); a+b != 96 || a == 0 || b == 0 {
			t.Errorf("they served %d and %d calls", a, b)
		}
	})
}

// A caller with a credential is served by one and the same, in both eras, and what is kept for it is of that one.
func TestWeightsKeepACallerTogether(t *testing.T) {
	t.Parallel()
	var all []bearer
	for i := range 16 {
		all = append(all, bearer{id: fmt.Sprintf("k%d", i), org: "acme"})
	}
	section, key := bearers(all...)
	g, one, two := startReplicas(t, true, section+"routes: [{weights: {one: 1, two: 1}}]\ncache: {tools: {allow: [\"one__*\"], ttl: 10m}}\n")
	served := map[string]int{}
	for id := range key {
		c := modernKey(t, g, key[id])
		_, first := c.tool("one__who", "{}")
		for range 3 {
			if _, got := c.tool("one__who", "{}"); got.text != first.text {
				t.Errorf("%s: %s, then %s", id, first.text, got.text)
			}
		}
		for _, by := range []string{"by one", "by two"} {
			if strings.Contains(first.text, by) {
				served[by]++
			}
		}
	}
	if a, b := int(one.calls.Load()), int(two.calls.Load()); a != served["by one"] || b != served["by two"] || a+b != len(key) || a == 0 || b == 0 {
		t.Errorf("%d and %d calls, and %v", a, b, served)
	}
}

// An answer is kept for calls that go where it came from, and for no others.
func TestTheCacheKeepsApartWhatRulesSendElsewhere(t *testing.T) {
	t.Parallel()
	g, _, _ := startReplicas(t, true, "cache: {tools: {allow: [\"one__*\"], ttl: 10m}}\nroutes: [{match: {header: {X-Canary: \"yes\"}}, to: two}]\n")
	c := modernKey(t, g, "")
	for range 2 {
		if _, got := c.tool("one__who", "{}"); !strings.Contains(got.text, "by one") {
			t.Error(got.text)
		}
		if _, got := c.tool("one__who", "{}", map[string]string{"x-canary": "yes"}); !strings.Contains(got.text, "by two") {
			t.Error(got.text)
		}
	}
}

func TestOthersStandInForAServerThatIsGone(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		g, one, two := startReplicas(t, modern, "cache: {tools: {allow: [\"one__who\"], ttl: 10m}}\nroutes: [{fallback: [two], timeout: 2s}]\n")
		sessions := map[string]*gosdk.ClientSession{}
		for _, revision := range revisions {
			sessions[revision] = goSDKSession(t, overHTTP(endpoint(g, "/mcp")), revision)
			if got := callText(t, sessions[revision], "one__change"); got != "changed by one" {
				t.Fatal(got)
			}
			if got := callText(t, sessions[revision], "one__stall"); got != "by two" {
				t.Errorf("%s: a read-only tool that is not answered in time: %s", revision, got)
			}
		}
		one.close()
		before := two.calls.Load()
		for revision, s := range sessions {
			for range 2 { // the answer of who stands in is not kept
				if got := callText(t, s, "one__who"); got != "by two" {
					t.Errorf("%s: a read-only tool: %s", revision, got)
				}
			}
			if got := callText(t, s, "one__change"); got != "changed by two" {
				t.Errorf("%s: one that has certainly not run: %s", revision, got)
			}
		}
		if n := two.calls.Load() - before; n != 6 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestMirrorsGetCopies(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		g, one, two := startReplicas(t, modern, "routes: [{match: {tool: one__greet}, mirror: two, mirror_all: true}, {mirror: two}]\n")
		for _, revision := range revisions {
			s := askedClient(t, endpoint(g, "/mcp"), revision, "eve")
			for tool, want := range map[string]string{
				"one__who": "by one", "one__same": "the same", "one__change": "changed by one",
				"one__greet": "name=eve roots=file:///eve sample=sample of eve; by one",
			} {
				if got := callText(t, s, tool); got != want {
					t.Errorf("%s: %s is answered %s", revision, tool, got)
				}
			}
		}
		var got []route.Count
		for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
			got = g.Mirrors()
			if len(got) == 1 && got[0].Equal+got[0].Different+got[0].Failed+got[0].Dropped == 6 {
				break
			}
		}
		// What would greet says in a way of its own that nobody can be asked, or fails.
		if len(got) != 1 || got[0].Upstream != "two" || got[0].Equal != 2 || got[0].Different+got[0].Failed != 4 || got[0].Different < 2 {
			t.Errorf("counts %+v", got)
		}
		if a, b := one.calls.Load(), two.calls.Load(); a != 8 || b != 4 {
			t.Errorf("they were called %d and %d times", a, b)
		}
	})
}

// A call that a rule has sent elsewhere ends there, also when there are no rules any more by the time its client answers.
func TestReload_ACallEndsWhereARuleHasSentIt(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		one, two := startReplica(t, "one", modern), startReplica(t, "two", modern)
		upstreams := "upstreams:\n" + httpUpstream("one", one.web.URL) + httpUpstream("two", two.web.URL)
		rules := "routes: [{match: {tool: one__greet}, weights: {two: 1}, fallback: [one]}]\n"
		for _, revision := range revisions {
			g := startReloadable(t, rules+upstreams)
			var once sync.Once
			s := clientThatHears(t, endpoint(g.Gateway, "/mcp"), revision, "ann", func(string) {
				once.Do(func() {
					if out := g.reload(upstreams); len(out.Changes) == 0 {
						t.Error("nothing has changed")
					}
				})
			})
			if got := callText(t, s, "one__greet"); !strings.HasSuffix(got, "; by two") {
				t.Errorf("%s: %s", revision, got)
			}
			if got := callText(t, s, "one__greet"); !strings.HasSuffix(got, "; by one") {
				t.Errorf("%s, the next call: %s", revision, got)
			}
		}
	})
}

// Progress keeps a call alive, but not for longer than its rule lets it take in all.
func TestARuleEndsCallsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	for name, era := range map[string]fake.Era{"legacy": fake.Legacy, "modern": fake.Modern} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := fakeUpstream(t, fake.Config{Eras: era, Tools: []fake.Tool{{Name: "march", Behaviour: fake.Progressing(100_000, 10*time.Millisecond, fake.Echo)}}})
			g := startGateway(t, "routes: [{match: {tool: one__march}, max_timeout: 300ms}]\nupstreams:\n"+httpUpstream("one", url))
			for _, revision := range revisions {
				s := goSDKSession(t, overHTTP(endpoint(g, "/mcp")), revision)
				params := &gosdk.CallToolParams{Name: "one__march", Arguments: map[string]any{}}
				params.SetProgressToken("steps")
				if _, err := s.CallTool(t.Context(), params); err == nil || !strings.Contains(err.Error(), "took longer than 300ms") {
					t.Errorf("%s: %v", revision, err)
				}
			}
		})
	}
}
