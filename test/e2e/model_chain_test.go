package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/e2e/dialect"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/engine"
)

// serveModel runs a gateway with one model, whose backends are written as the configuration file has them.
func serveModel(t testing.TB, backends ...string) *gateway.Gateway {
	t.Helper()
	return startGateway(t, "models:\n  sim:\n    aliases: [default]\n    backends:\n      - "+strings.Join(backends, "\n      - ")+"\n")
}

// behind is a gateway that is the backend of another one, reached by a scheme.
func behind(g *gateway.Gateway, scheme string) string {
	return fmt.Sprintf(`{kind: rpc, url: "%s://%s/rpc"}`, scheme, g.Addr())
}

// A gateway behind a gateway, and three in a row, are to clients what one is, whatever they speak with each other.
func TestGatewaysBehindGateways(t *testing.T) {
	t.Parallel()
	for name, schemes := range map[string][]string{
		"one": nil, "two over HTTP": {"http"}, "two over WebSocket": {"ws"}, "three over HTTP": {"http", "http"}, "three over WebSocket": {"ws", "ws"},
		"three over both": {"http", "ws"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := engine.Start(t, engine.Config{TokenRate: 500})
			g := serveModel(t, fmt.Sprintf("{kind: openai, url: %q}", sim.URL+"/v1"))
			for _, scheme := range schemes {
				g = serveModel(t, behind(g, scheme))
			}
			dialect.Session(t, dialect.Target{URL: endpoint(g, "/rpc"), Model: "sim"})
		})
	}
}

// What becomes of an engine is told through all gateways: that it broke off, that it is not there, that it takes no more.
func TestFailuresPassThroughGateways(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{})
	serve := func(backend string) *gateway.Gateway {
		return startGateway(t, "models:\n  sim: {warm_up: {at: never}, retry: {attempts: 1}, breaker: {failures: 0}, backends: ["+backend+"]}\n")
	}
	g := serve(behind(serve(behind(serve(fmt.Sprintf("{kind: openai, url: %q}", sim.URL+"/v1")), "http")), "ws"))
	c := &invoker{t: t, url: endpoint(g, "/rpc")}
	params := map[string]any{"model": "sim", "prompt": "a", "stream": true}
	if o, _, _ := c.ask("invoke", params); o.Error != nil {
		t.Fatalf("%+v", o.Error)
	}
	for _, tt := range []struct {
		fault  engine.Fault
		code   int
		chunks int
	}{
		{engine.Fault{Kind: engine.Cut, After: 3}, -32007, 3},
		{engine.Fault{Kind: engine.StreamError, After: 2}, -32007, 2},
		{engine.Fault{Kind: engine.Refuse, Status: http.StatusTooManyRequests, RetryAfter: "60"}, -32005, 0},
		{engine.Fault{Kind: engine.Refuse, Status: http.StatusBadRequest}, -32602, 0},
	} {
		sim.Fail(tt.fault)
		o, _, chunks := c.ask("invoke", params)
		if o.Error == nil || o.Error.Code != tt.code || chunks != tt.chunks {
			t.Errorf("%+v: %d chunks, %+v", tt.fault, chunks, o.Error)
		}
		sim.Heal()
	}
	sim.Kill()
	if o, _, _ := c.ask("invoke", params); o.Error == nil || o.Error.Code != -32006 {
		t.Errorf("killed: %+v", o.Error)
	}
}

// A tool of an MCP server is a model: what it reports as progress is its answer as far as it has come.
func TestAToolIsAModel(t *testing.T) {
	t.Parallel()
	write := func(_ context.Context, c *fake.Call) ([]byte, error) {
		var meta struct{ ProgressToken json.RawMessage }
		if err := json.Unmarshal(c.Meta, &meta); err != nil {
			return nil, err
		}
		for i, word := range []string{"once ", "upon "} {
			if meta.ProgressToken == nil {
				break
			}
			if err := c.Notify("notifications/progress", fmt.Appendf(nil, `{"progressToken":%s,"progress":%d,"message":%q}`, meta.ProgressToken, i+1, word)); err != nil {
				return nil, err
			}
		}
		return []byte(`{"content":[{"type":"text","text":"once upon a time"}]}`), nil
	}
	_, server := fakeUpstream(t, fake.Config{Tools: []fake.Tool{{Name: "write", Behaviour: write}}})
	g := startGateway(t, "upstreams:\n"+httpUpstream("one", server)+"models:\n  writer: {backends: [{kind: mcp, upstream: one, tool: write}]}\n")
	c := &invoker{t: t, url: endpoint(g, "/rpc")}
	for _, stream := range []bool{false, true} {
		o, text, chunks := c.ask("invoke", map[string]any{"model": "writer", "prompt": "a", "stream": stream})
		if text += o.Result.Output; o.Error != nil || text != "once upon a time" || o.Result.Usage == nil || !o.Result.Usage.Estimated || stream != (chunks == 3) {
			t.Errorf("%q in %d chunks, %+v %+v", text, chunks, o, o.Error)
		}
	}
}

// A client that leaves, whatever it speaks and through how many gateways, is noticed by the engine at once.
func TestAnEngineNoticesWhoLeaves(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{TokenRate: 50, Length: func(*engine.Request) int { return 5000 }})
	one := serveModel(t, fmt.Sprintf("{kind: openai, url: %q}", sim.URL+"/v1"))
	native := serveModel(t, fmt.Sprintf("{kind: ollama, url: %q}", sim.URL))
	for name, g := range map[string]*gateway.Gateway{
		"openai": one, "ollama": native, "over HTTP": serveModel(t, behind(one, "http")), "over WebSocket": serveModel(t, behind(one, "ws")),
	} {
		t.Run(name, func(t *testing.T) {
			c := &invoker{t: t, url: endpoint(g, "/rpc")}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			sim.Forget()
			resp := c.open(ctx, "invoke", map[string]any{"model": "sim", "prompt": "a", "stream": true})
			defer resp.Body.Close()
			if o, err := c.next(bufio.NewReader(resp.Body)); err != nil || o.Result.Chunk == nil {
				t.Fatalf("%+v %v", o, err)
			}
			left := time.Now()
			leave()
			for sim.Stats().Unsettled > 0 {
				time.Sleep(100 * time.Microsecond)
			}
			took := time.Since(left)
			t.Logf("the engine has stopped %v after the client had left", took)
			ledger := sim.Ledger() // in which the calls come first that have the model loaded
			if made := ledger[len(ledger)-1]; !made.Aborted || made.Output > 2000 {
				t.Errorf("%+v", made)
			}
			if took > 10*time.Second { // an hundredth of that where the machine has nothing else to do
				t.Errorf("the engine went on for %v", took)
			}
		})
	}
}

// A bound that is not the answer's, or not the only one, does not get round a budget.
func TestABudgetHoldsWhateverTheParamsSay(t *testing.T) {
	t.Parallel()
	const budget = 300
	for name, more := range map[string]map[string]any{
		"several answers": {"max_tokens": 200, "n": 16}, "another bound": {"max_tokens": 1, "max_completion_tokens": 5000},
		"another bound for each kind": {"max_tokens": 1, "num_predict": 5000}, "an option": {"max_tokens": 1, "options": map[string]any{"num_predict": 5000}},
	} {
		for _, kind := range []string{"openai", "ollama"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				sim := engine.Start(t, engine.Config{TokenRate: 500, Length: func(*engine.Request) int { return 5000 }})
				url := sim.URL
				if kind == "openai" {
					url += "/v1"
				}
				g := startGateway(t, fmt.Sprintf("limits: [{name: day, scope: ip, unit: tokens, model: \"*\", limit: %d, per: day}]\nmodels:\n  sim: {warm_up: {at: never}, backends: [{kind: %s, url: %q}]}\n", budget, kind, url))
				c := &invoker{t: t, url: endpoint(g, "/rpc")}
				params := map[string]any{"model": "sim", "prompt": "a", "ignore_eos": true}
				maps.Copy(params, more)
				for range 3 {
					c.ask("invoke", params)
				}
				for sim.Stats().Unsettled > 0 {
					time.Sleep(time.Millisecond)
				}
				used := int64(0)
				for _, r := range sim.Ledger() {
					used += r.Input + r.Output
				}
				if used > 2*budget { // the exact bound has tests of its own, which no busy machine disturbs

					t.Errorf("%d tokens of a budget of %d", used, budget)
				}
			})
		}
	}
}

// What a gateway behind says of the credentials and the limits of the one in front is not passed on as the client's own.
func TestAGatewayBehindHasCredentialsAndLimits(t *testing.T) {
	t.Parallel()
	const far, near = "far-0123456789abcdef0123456789abcdef", "near-0123456789abcdef0123456789abcdef"
	sim := engine.Start(t, engine.Config{Record: true})
	keys := "auth: {keys: [{id: k, key: %s, org: acme, scopes: [\"infer:*\"]}]}\n"
	back := startGateway(t, fmt.Sprintf(keys+"limits: [{name: key-rate, scope: key, unit: requests, method: invoke, rate: 2/h, burst: 2}]\nmodels:\n  sim: {warm_up: {at: never}, backends: [{kind: openai, url: %q}]}\n", far, sim.URL+"/v1"))
	front := startGateway(t, fmt.Sprintf(keys+`models:
  http: {warm_up: {at: never}, retry: {attempts: 1}, backends: [{kind: rpc, url: "http://%[2]s/rpc", model: sim, headers: {Authorization: "Bearer %[3]s"}}]}
  ws: {warm_up: {at: never}, retry: {attempts: 1}, backends: [{kind: rpc, url: "ws://%[2]s/rpc", model: sim, headers: {Authorization: "Bearer %[3]s"}}]}
  stranger: {warm_up: {at: never}, backends: [{kind: rpc, url: "http://%[2]s/rpc", model: sim, headers: {Authorization: "Bearer nobody-%[3]s"}}]}
  stranger-ws: {warm_up: {at: never}, backends: [{kind: rpc, url: "ws://%[2]s/rpc", model: sim, headers: {Authorization: "Bearer nobody-%[3]s"}}]}
`, near, back.Addr(), far))
	ask := func(model string) (resp *http.Response, o object) {
		body := fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"a"}}`, model)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint(front, "/rpc"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+near)
		if resp, err = http.DefaultClient.Do(req); err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
			t.Fatal(err)
		}
		return resp, o
	}
	for _, model := range []string{"http", "ws"} {
		if resp, o := ask(model); resp.StatusCode != http.StatusOK || o.Result.Output == "" {
			t.Errorf("%s: %s %+v", model, resp.Status, o.Error)
		}
	}
	for _, model := range []string{"http", "ws"} {
		resp, o := ask(model)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || o.Error == nil || o.Error.Code != -32005 {
			t.Errorf("%s: %s %v %+v", model, resp.Status, resp.Header, o.Error)
		}
	}
	for _, model := range []string{"stranger", "stranger-ws"} {
		if resp, o := ask(model); resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Www-Authenticate") != "" || o.Error == nil || o.Error.Code != -32007 {
			t.Errorf("%s: %s %v %+v", model, resp.Status, resp.Header, o.Error)
		}
	}
	for _, r := range sim.Ledger() {
		for name, values := range r.Header {
			if text := strings.Join(values, " "); strings.Contains(text, far) || strings.Contains(text, near) {
				t.Errorf("the engine was sent %s: %s", name, text)
			}
		}
	}
}
