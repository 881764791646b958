package fault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// spender is a kind of call that is hard to account for.
type spender struct {
	name   string
	params string // beside the model and the prompt
	lines  int    // of the answer that are read before the client leaves; 0 for all
	leave  time.Duration
	slow   bool // the client reads each line after a while
}

// The kinds of call. What the prompt says of a fault is what the engine does.
var spenders = []spender{
	{name: "plain", params: `"max_tokens":60`},
	{name: "plain nousage", params: `"max_tokens":60`},
	{name: "huge", params: `"x":1`},
	{name: "huge", params: `"stream":true`},
	{name: "streamed", params: `"max_tokens":80,"stream":true`},
	{name: "streamed nousage", params: `"max_tokens":80,"stream":true`},
	{name: "left", params: `"max_tokens":200,"stream":true`, lines: 3},
	{name: "left huge", params: `"stream":true`, lines: 40},
	{name: "left at once", params: `"stream":true`, leave: time.Millisecond},
	{name: "cancelled", params: `"max_tokens":100`, leave: 20 * time.Millisecond},
	{name: "cancelled huge", params: `"x":1`, leave: 60 * time.Millisecond},
	{name: "slow huge", params: `"stream":true`, lines: 15, slow: true},
	{name: "liar", params: `"max_tokens":20,"stream":true`},
	{name: "refuse", params: `"max_tokens":60,"stream":true`},
	{name: "reset", params: `"max_tokens":60,"stream":true`},
	{name: "reset", params: `"max_tokens":60`},
	{name: "cut", params: `"max_tokens":90,"stream":true`},
	{name: "cut huge", params: `"x":1`},
	{name: "unfinished", params: `"max_tokens":60,"stream":true`},
	{name: "garbage", params: `"stream":true`},
	{name: "wrong", params: `"max_tokens":60,"stream":true`},
}

// spendthrifts are the engines of a test, of which some lie.
func spendthrifts(t *testing.T) []*engine.Engine {
	t.Helper()
	out := make([]*engine.Engine, 2)
	for i := range out {
		e := engine.New(engine.Config{TokenRate: 150, Slots: 64, Length: func(r *engine.Request) int {
			if strings.Contains(r.Text, "huge") || strings.Contains(r.Text, "liar") {
				return 500
			}
			return 10 + len(r.Text)%70
		}})
		for word, f := range map[string]engine.Fault{
			"nousage": {Kind: engine.NoUsage}, "refuse": {Kind: engine.Refuse, Every: 2}, "reset": {Kind: engine.Reset, Every: 2},
			"cut": {Kind: engine.Cut, After: 12}, "unfinished": {Kind: engine.Unfinished, After: 7}, "garbage": {Kind: engine.Garbage, After: 9},
			"wrong": {Kind: engine.StreamError, After: 5},
		} {
			f.Match = func(r *engine.Request) bool { return strings.Contains(r.Text, word) }
			e.Fail(f)
		}
		out[i] = e
	}
	return out
}

var mostTokens = regexp.MustCompile(`"(max_tokens|num_predict)":\d+,?|,?"(max_tokens|num_predict)":\d+`)

// lying serves an engine that does not look at max_tokens where a prompt says so.
func lying(t *testing.T, e *engine.Engine) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if strings.Contains(string(body), "liar") {
				body = mostTokens.ReplaceAll(body, nil)
			}
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
		}
		e.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	return web.URL
}

// spend makes a call and does with its answer what the kind says. It reports whether it was refused for the budget.
func (s *spender) spend(ctx context.Context, url, model, prompt string) (refused bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.leave > 0 {
		time.AfterFunc(s.leave, cancel)
	}
	body := fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":%q,%s}}`, model, prompt, s.params)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+spendersKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, gone(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it has nothing to say
	lines := bufio.NewScanner(resp.Body)
	for n := 1; lines.Scan(); n++ {
		if strings.Contains(lines.Text(), `"quota_exhausted"`) {
			refused = true
		}
		if n == s.lines {
			return refused, nil
		}
		if s.slow {
			time.Sleep(30 * time.Millisecond)
		}
	}
	return refused, gone(ctx, lines.Err())
}

// gone forgives errors of a client that has left.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ways are the models by which the engines are reached: by both of their APIs, and by a further gateway over HTTP and a WebSocket.
var ways = []string{"sim", "native", "far", "socket"}

// endless is what makes a model be asked whatever it did before.
const endless = "price: {input: 1, output: 3}, retry: {attempts: 3, budget: 100%%}, breaker: {failures: 1000}, slow_start: 0s, warm_up: {at: never}"

const spendersKey = "a-key-for-spenders-alone"

// ledgerOf is what a limit has counted, charged and reserved.
func ledgerOf(t *testing.T, g *gateway.Gateway, limit string, all float64) float64 {
	t.Helper()
	e, err := g.Explain(context.WithoutCancel(t.Context()), admin.Question{Method: "invoke", Name: "sim", As: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Steps {
		if m := regexp.MustCompile(`limit "` + limit + `" of .* has (\S+) left`).FindStringSubmatch(s.Reason); m != nil {
			n, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return all - n
		}
		if strings.Contains(s.Reason, `the limit "`+limit+`"`) && strings.Contains(s.Reason, "used up") {
			return all
		}
	}
	t.Fatalf("nothing is said of %s: %+v", limit, e)
	return 0
}

// TestT33_NobodyOverspends makes calls of a model that are hard to account for, many at a time, against a budget for about half of
// them: what models make is at no moment more than the budget, nor, in the end, more than the ledger says.
func TestT33_NobodyOverspends(t *testing.T) {
	total := times(168, 1000)
	budget := int64(total) * 75
	row := &Row{
		ID: "T33", What: "Overspend: huge answers, departures, cancels, slow readers, retries, cuts, lies, no usage: never more than the budget, and the ledger has all that was made",
		Count: fmt.Sprintf("%d calls of %d kinds of models behind two APIs and another gateway, 24 at a time, against a budget of %d tokens", total, len(spenders), budget),
	}
	enter(t, row)
	engines := spendthrifts(t)
	urls := []string{lying(t, engines[0]), lying(t, engines[1])}
	far := startGateway(t, fmt.Sprintf("models:\n  sim: {"+endless+", backends: [{kind: openai, url: %q}, {kind: openai, url: %q}]}\n", urls[0]+"/v1", urls[1]+"/v1"))
	g := startGateway(t, fmt.Sprintf(`
auth: {keys: [{id: k, key: %[1]s, org: acme, scopes: ["infer:*"]}]}
models:
  sim: {`+endless+`, backends: [{kind: openai, url: %[2]q}, {kind: openai, url: %[3]q}]}
  native: {`+endless+`, backends: [{kind: ollama, model: sim, url: %[4]q}, {kind: ollama, model: sim, url: %[5]q}]}
  far: {`+endless+`, backends: [{kind: rpc, model: sim, url: %[7]q}]}
  socket: {`+endless+`, backends: [{kind: rpc, model: sim, url: %[8]q}]}
limits:
  - {name: tokens, scope: org, unit: tokens, limit: %[6]d, per: month}
  - {name: wide, scope: org, unit: tokens, limit: %[9]d, per: month}
  - {name: money, scope: key, unit: usd, limit: 1, per: month}
`, spendersKey, urls[0]+"/v1", urls[1]+"/v1", urls[0], urls[1], budget,
		"http://"+far.Addr()+"/rpc", "ws://"+far.Addr()+"/rpc", 10*budget))
	made := func() (n int64) {
		for _, e := range engines {
			s := e.Stats()
			n += s.Prompt + s.Sampled
		}
		return n
	}
	var refused, failed atomic.Int64
	var all sync.WaitGroup
	jobs := make(chan int)
	for range 24 {
		all.Go(func() {
			for i := range jobs {
				s := &spenders[i%len(spenders)]
				prompt := fmt.Sprintf("%s %d %s", s.name, i, strings.Repeat("word ", i%30))
				short, err := s.spend(t.Context(), "http://"+g.Addr()+"/rpc", ways[i/len(spenders)%len(ways)], prompt)
				if err != nil {
					failed.Add(1)
					t.Errorf("%s: %v", s.name, err)
				}
				if short {
					refused.Add(1)
				}
			}
		})
	}
	stop, watched := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for ; ; time.Sleep(5 * time.Millisecond) {
			most = max(most, made())
			select {
			case <-stop:
				watched <- most
				return
			default:
			}
		}
	}()
	for _, i := range rand.Perm(total) {
		jobs <- i
	}
	close(jobs)
	all.Wait()
	settledBy(t, engines)
	close(stop)
	most := <-watched
	ledger, sum := ledgerOf(t, g, "wide", float64(10*budget)), made() // that of the budget could not show that there was more
	row.Figures = fmt.Sprintf("%d tokens were made, %.0f are in the ledger (× %.3f) of %d; %d calls were refused or cut for the budget",
		sum, ledger, ledger/float64(sum), budget, refused.Load())
	if most > budget || float64(sum) > ledger || ledger > 1.01*float64(budget) { // what is charged for the time until a model stops is a guess
		t.Errorf("at most %d tokens were made at a time, %d in all, %v are in the ledger, the budget is %d", most, sum, ledger, budget)
	}
	if spent := ledgerOf(t, g, "money", 1); spent < price(engines) {
		t.Errorf("%v dollars are charged for %v", spent, price(engines))
	}
	if ledger > 2*float64(sum) {
		t.Errorf("%v tokens are charged for %d", ledger, sum)
	}
	if refused.Load() == 0 {
		t.Error("the budget was never used up")
	}
}

// price is what engines have made, in dollars.
func price(engines []*engine.Engine) (usd float64) {
	for _, e := range engines {
		s := e.Stats()
		usd += (float64(s.Prompt) + 3*float64(s.Sampled)) / 1e6
	}
	return usd
}

// settledBy waits until engines have noticed who left, and the gateway has settled what they made.
func settledBy(t *testing.T, engines []*engine.Engine) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		open := 0
		for _, e := range engines {
			open += e.Stats().Unsettled
		}
		if open == 0 {
			break
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d requests are still open", open)
		}
	}
	time.Sleep(200 * time.Millisecond)
}
