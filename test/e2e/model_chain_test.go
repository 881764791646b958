package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
