package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// tokens is a budget of tokens.
func tokens(n int64) config.Limit {
	return config.Limit{Name: "tokens", Scope: "org", Unit: "tokens", Limit: amount(n), Per: "day"}
}

// used is how much of the limit called tokens, or of another, is used up.
func (l *limited) used(t testing.TB, name string) float64 {
	t.Helper()
	accounts, err := l.limits.Accounts(t.Context(), []policy.Caller{{Principal: somebody("acme", "build", "k", "eve")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Limit == name {
			return a.Max - a.Remaining
		}
	}
	t.Fatalf("no account of %s", name)
	return 0
}

// pulled reads a reply to its end and closes it.
func pulled(r *rpc.Reply) error {
	defer r.Close() //nolint:errcheck // it has nothing to say
	for {
		if _, err := r.Next(); rpc.IsEnd(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func chunks(n int, tokens int64) []part {
	out := make([]part, n)
	for i := range out {
		out[i].tokens = tokens
	}
	return out
}

// What a call may take is reserved before it runs, and what it took is charged in the end.
func TestTokensAreReservedAndSettled(t *testing.T) {
	t.Parallel()
	actual := &rpc.Usage{Input: 80, Output: 30, Cached: 50}
	for name, tc := range map[string]struct {
		params   string
		parts    []part
		reserved float64 // while it runs
		settled  float64
		money    float64 // micro-dollars
	}{
		"as it says":          {`{"tokens":100,"max_tokens":50}`, []part{{tokens: 30, usage: actual}}, 150, 110, 335},
		"in chunks":           {`{"tokens":100,"max_tokens":50,"stream":true}`, []part{{tokens: 30, usage: actual}}, 150, 110, 335},
		"a step":              {`{"tokens":100,"stream":true}`, []part{{tokens: 30, usage: actual}}, 356, 110, 335},
		"a step, in one":      {`{"tokens":100}`, []part{{tokens: 30, usage: actual}}, 356, 110, 335},
		"no usage":            {`{"tokens":100,"max_tokens":50}`, []part{{tokens: 30}}, 150, 130, 400},
		"zero is a value":     {`{"tokens":100,"max_tokens":50}`, []part{{tokens: 30, usage: &rpc.Usage{}}}, 150, 0, 0},
		"more than estimated": {`{"tokens":100,"max_tokens":50}`, []part{{tokens: 50, usage: &rpc.Usage{Input: 170, Output: 50}}}, 150, 220, 670},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newMetered(t, meter(), tokens(1000), config.Limit{Name: "money", Scope: "org", Unit: "usd", Limit: amount(1), Per: "month"})
			l.answer = func(c *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(generate(c, 100, tc.parts...)), nil }
			reply, err := l.call(t.Context(), invocation("m", tc.params))
			if err != nil {
				t.Fatal(err)
			}
			if got := l.used(t, "tokens"); got != tc.reserved {
				t.Errorf("%v are reserved, want %v", got, tc.reserved)
			}
			if err := pulled(reply); err != nil {
				t.Fatal(err)
			}
			if got := l.used(t, "tokens"); got != tc.settled {
				t.Errorf("%v are charged, want %v", got, tc.settled)
			}
			if got := l.used(t, "money") * config.Millionths; int64(got+0.5) != int64(tc.money) {
				t.Errorf("%v millionths of a dollar are charged, want %v", got, tc.money)
			}
		})
	}
}

// Without a budget that could be exceeded a call is passed on as it came; with one, and nothing said of how long the answer may be, it is
// made in chunks.
func TestWhatIsAskedForInChunks(t *testing.T) {
	t.Parallel()
	watched := tokens(1000)
	watched.Mode = "shadow"
	for name, tc := range map[string]struct {
		limit  config.Limit
		params string
		want   string
	}{
		"bounded": {tokens(1000), `{"tokens":1,"max_tokens":5}`, ""},
		"open":    {tokens(1000), `{"tokens":1}`, "true"},
		"stream":  {tokens(1000), `{"tokens":1,"stream":true}`, "true"},
		"watched": {watched, `{"tokens":1}`, ""},
		"calls":   {config.Limit{Name: "calls", Scope: "org", Unit: "requests", Limit: amount(5), Per: "day"}, `{"tokens":1}`, ""},
	} {
		l := newMetered(t, meter(), tc.limit)
		var asked string
		l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
			stream, _ := c.Message.Get("stream")
			asked = string(stream)
			return rpc.NewReply(generate(c, 1, part{tokens: 3})), nil
		}
		if _, err := l.whole(t.Context(), invocation("m", tc.params)); err != nil || asked != tc.want {
			t.Errorf("%s: stream is %q: %v", name, asked, err)
		}
	}
}

// A stream is passed on as far as it is paid for, in steps, and is then ended: the model is stopped at once.
func TestStepsEndWhereTheBudgetDoes(t *testing.T) {
	t.Parallel()
	for _, params := range []string{`{"tokens":100,"stream":true}`, `{"tokens":100}`} {
		l := newMetered(t, meter(), tokens(1000))
		var g *generation
		l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
			g = generate(c, 100, chunks(500, 10)...)
			return rpc.NewReply(g), nil
		}
		reply, err := l.call(t.Context(), invocation("m", params))
		if err != nil {
			t.Fatal(err)
		}
		n, err := 0, error(nil)
		for ; err == nil; n++ {
			if _, err = reply.Next(); err == nil && l.used(t, "tokens") < float64(g.used.Output) {
				t.Fatalf("%d tokens passed, %v are reserved", g.used.Output, l.used(t, "tokens"))
			}
		}
		e := rpc.AsError(err)
		if e.Code != rpc.QuotaExhausted || !g.closed {
			t.Fatalf("%v, the model was stopped: %v", err, g.closed)
		}
		data := e.Data.(map[string]any) //nolint:errcheck // it panics as well as it should
		delete(data, "resetAt")
		want := map[string]any{"limitName": "tokens", "scope": "org", "unit": "tokens", "limit": 1000.0, "remaining": data["remaining"], "model": "m"}
		if diff := cmp.Diff(want, data); diff != "" {
			t.Error(diff)
		}
		if got := map[string][]string(e.Header)["RateLimit-Policy"]; len(got) != 1 || got[0] != `"tokens";q=1000;w=86400;qu="tokens"` {
			t.Errorf("%v", e.Header)
		}
		_ = reply.Close()
		if got := l.used(t, "tokens"); got != float64(100+g.used.Output) || got > 1000 || got < 1000-64-256-10 {
			t.Errorf("%v are charged for %d", got, g.used.Output)
		}
	}
}

// One more attempt has to fit too, and what failed is charged.
func TestAttemptsThatFailAreCharged(t *testing.T) {
	t.Parallel()
	l := newMetered(t, meter(), tokens(400))
	attempts := 0
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		for {
			attempts++
			g := generate(c, 100)
			g.try.End(rpc.Errorf(rpc.UpstreamDown, "gone"))
			if err := c.Record.Afford(); err != nil {
				return nil, err
			}
		}
	}
	_, err := l.call(t.Context(), invocation("m", `{"tokens":100,"max_tokens":50}`))
	if rpc.AsError(err).Code != rpc.QuotaExhausted || attempts != 3 { // 100+150, 200+150, and 300+150 do not fit
		t.Errorf("%d attempts: %v", attempts, err)
	}
	if got := l.used(t, "tokens"); got != 300 {
		t.Errorf("%v are charged", got)
	}
}

// However a call ends, it is charged what it has taken, and nothing else stays reserved.
func TestCallsThatEndEarlyAreSettled(t *testing.T) {
	t.Parallel()
	begun := func(c *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(generate(c, 100, append(chunks(3, 10), part{err: rpc.Errorf(rpc.UpstreamDown, "cut")})...)), nil
	}
	for name, tc := range map[string]struct {
		answer func(*rpc.Call) (*rpc.Reply, error)
		read   int // how often the client reads
		want   float64
	}{
		"not reached": {func(*rpc.Call) (*rpc.Reply, error) { return nil, rpc.Errorf(rpc.UpstreamDown, "no") }, 0, 0},
		"panic":       {func(c *rpc.Call) (*rpc.Reply, error) { generate(c, 100); panic("in a call") }, 0, 100},
		"unread":      {begun, 0, 100},
		"left":        {begun, 2, 120},
		"cut":         {begun, 9, 130},
	} {
		l := newMetered(t, meter(), tokens(1000))
		l.answer = tc.answer
		h := policy.Recover(silent())(rpc.HandlerFunc(l.call))
		reply, err := h.Handle(t.Context(), invocation("m", `{"tokens":100,"stream":true}`))
		for range tc.read {
			if err == nil {
				_, err = reply.Next()
			}
		}
		if reply != nil {
			_ = reply.Close()
		}
		if got := l.used(t, "tokens"); got != tc.want {
			t.Errorf("%s: %v are charged, want %v (%v)", name, got, tc.want, err)
		}
	}
}

// A model that makes more than it was asked for is stopped when that can no longer be paid for; what it made is charged.
func TestModelsThatMakeMoreThanTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	l := newMetered(t, meter(), tokens(1000))
	var g *generation
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		g = generate(c, 10, chunks(1000, 5)...)
		return rpc.NewReply(g), nil
	}
	reply, err := l.call(t.Context(), invocation("m", `{"tokens":10,"max_tokens":20,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if err = pulled(reply); rpc.AsError(err).Code != rpc.QuotaExhausted || !g.closed {
		t.Errorf("%v", err)
	}
	if got := l.used(t, "tokens"); got != float64(10+g.used.Output) || got > 1000 {
		t.Errorf("%v are charged for %d", got, g.used.Output)
	}
	// In one piece there is nothing to stop, and nothing of it is given out.
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(generate(c, 10, part{tokens: 5000})), nil }
	if _, err := l.whole(t.Context(), invocation("m", `{"tokens":10,"max_tokens":5}`)); rpc.AsError(err).Code != rpc.QuotaExhausted {
		t.Error(err)
	}
	if got := l.used(t, "tokens"); got != 1000 {
		t.Errorf("%v are charged", got)
	}
}

// Which calls of models a limit concerns.
func TestLimitsOfModels(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit config.Limit
		call  *rpc.Call
		want  float64
	}{
		"another model":   {config.Limit{Unit: "tokens", Model: "llama-*", Limit: amount(1000), Per: "day"}, invocation("m", `{"tokens":10,"max_tokens":5}`), 0},
		"a model":         {config.Limit{Unit: "tokens", Model: "llama-*", Limit: amount(1000), Per: "day"}, invocation("llama-7b", `{"tokens":10,"max_tokens":5}`), 15},
		"no model":        {config.Limit{Unit: "tokens", Limit: amount(1000), Per: "day"}, toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`), 0},
		"requests":        {config.Limit{Unit: "requests", Model: "*", Limit: amount(10), Per: "day"}, invocation("m", `{"tokens":10}`), 1},
		"requests, none":  {config.Limit{Unit: "requests", Model: "*", Limit: amount(10), Per: "day"}, toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`), 0},
		"slots":           {config.Limit{Unit: "in_flight", Model: "m", Limit: amount(4)}, invocation("m", `{"tokens":10}`), 1},
		"upstreams":       {config.Limit{Unit: "requests", Upstream: "*", Limit: amount(10), Per: "day"}, invocation("m", `{"tokens":10}`), 0},
		"so much a call":  {config.Limit{Unit: "usd", Cost: amount(1) / 2, Limit: amount(10), Per: "day"}, invocation("m", `{"tokens":10}`), 0.5},
		"no price":        {config.Limit{Unit: "usd", Limit: amount(10), Per: "day"}, invocation("free", `{"tokens":10,"max_tokens":5}`), 0},
		"a price":         {config.Limit{Unit: "usd", Limit: amount(10), Per: "day"}, invocation("m", `{"tokens":10,"max_tokens":5}`), 0.00006},
		"tokens, watched": {config.Limit{Unit: "tokens", Limit: amount(1000), Per: "day", Mode: "shadow"}, invocation("m", `{"tokens":10,"max_tokens":5}`), 15},
	} {
		tc.limit.Name, tc.limit.Scope = "it", "org"
		l := newMetered(t, meter(), tc.limit)
		l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
			if c.Target.Kind != rpc.Model {
				return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
			}
			return rpc.NewReply(generate(c, 10)), nil
		}
		reply, err := l.call(t.Context(), tc.call)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := l.used(t, "it"); fmt.Sprintf("%.6f", got) != fmt.Sprintf("%.6f", tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
		_ = reply.Close()
	}
}

// The dearest of those that may stand in is what is reserved, and who answered is what is charged.
func TestWhoStandsInHasItsOwnPrice(t *testing.T) {
	t.Parallel()
	l := newMetered(t, meter(), config.Limit{Name: "money", Scope: "org", Unit: "usd", Limit: amount(1), Per: "day"})
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(generate(c, 10, part{tokens: 5})), nil }
	call := invocation("free", `{"tokens":10,"max_tokens":5}`)
	call.Route = &rpc.Route{Fallback: []string{"m"}}
	reply, err := l.call(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.used(t, "money"); fmt.Sprintf("%.6f", got) != "0.000060" {
		t.Errorf("%v is reserved", got)
	}
	if err := pulled(reply); err != nil {
		t.Fatal(err)
	}
	if got := l.used(t, "money"); got != 0 {
		t.Errorf("%v is charged", got)
	}
}

// A call that asks for more than there can be is refused with what it asks for, whatever the numbers.
func TestDemandsBeyondAllBounds(t *testing.T) {
	t.Parallel()
	l := newMetered(t, meter(), tokens(1000), config.Limit{Name: "money", Scope: "org", Unit: "usd", Limit: amount(9_000_000_000_000), Per: "day"})
	for _, n := range []int64{900, 1 << 40, 1<<63 - 1} {
		_, err := l.call(t.Context(), invocation("m", fmt.Sprintf(`{"tokens":101,"max_tokens":%d}`, n)))
		if e := rpc.AsError(err); e.Code != rpc.QuotaExhausted || e.RetryAfter >= 0 || !strings.Contains(e.Message, "costs more than") {
			t.Errorf("%d: %v, again after %v", n, err, e.RetryAfter)
		}
	}
	if got := l.used(t, "tokens") + l.used(t, "money"); got != 0 {
		t.Errorf("%v is charged", got)
	}
	reply, err := l.call(t.Context(), invocation("m", `{"tokens":101,"max_tokens":800}`))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	_, err = l.call(t.Context(), invocation("m", `{"tokens":101,"max_tokens":800}`))
	if e := rpc.AsError(err); e.RetryAfter <= 0 || e.RetryAfter > 24*time.Hour || !strings.Contains(e.Message, `has 99 left, and the call may take 901 more`) {
		t.Errorf("%v, again after %v", err, e.RetryAfter)
	}
	standing := l.limits.Explain(t.Context(), invocation("m", `{"tokens":10,"max_tokens":80}`))
	if len(standing) != 2 || !strings.Contains(standing[0].Reason, "has 99 left; 90 are reserved before the call runs") {
		t.Errorf("%v", standing)
	}
}

// What is only watched is charged whatever there is, and nothing is refused.
func TestTokensThatAreOnlyWatched(t *testing.T) {
	t.Parallel()
	watched := tokens(500)
	watched.Mode = "warn"
	l := newMetered(t, meter(), watched)
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		first := generate(c, 100)
		first.try.End(errors.New("gone"))
		if err := c.Record.Afford(); err != nil {
			return nil, err
		}
		return rpc.NewReply(generate(c, 100, chunks(100, 10)...)), nil
	}
	if _, err := l.whole(t.Context(), invocation("m", `{"tokens":100,"stream":true}`)); err != nil {
		t.Error(err)
	}
	if got := l.used(t, "tokens"); got != 500 {
		t.Errorf("%v are charged", got)
	}
}

// What is learned of a model's prompts is what its server has counted, of calls that were made once.
func TestLearningFromWhatWasCounted(t *testing.T) {
	t.Parallel()
	var learned []int64
	m := meter()
	m.Learn = func(model string, _ int, n int64) {
		if model == "m" {
			learned = append(learned, n)
		}
	}
	l := newMetered(t, m, tokens(10_000))
	for _, parts := range [][]part{{{usage: &rpc.Usage{Input: 7}}}, {{tokens: 5}}, {{usage: &rpc.Usage{}}}} {
		l.answer = func(c *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(generate(c, 10, parts...)), nil }
		if _, err := l.whole(context.Background(), invocation("m", `{"tokens":10,"max_tokens":5}`)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int64{7}, learned); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkMeteredChunk is what budgets of tokens and money cost each chunk of a stream.
func BenchmarkMeteredChunk(b *testing.B) {
	l := newMetered(b, meter(), tokens(1<<40), config.Limit{Name: "money", Scope: "org", Unit: "usd", Limit: amount(1 << 40), Per: "month"})
	endless := endlessly{rpc.NewNotification("chunk", []byte(`{"text":"word"}`)), nil, &rpc.Usage{Input: 100}}
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		endless.meter = &rpc.Meter{}
		c.Record.Try(rpc.Hop{Upstream: c.Target.Upstream}).Metered(endless.meter)
		return rpc.NewReply(endless), nil
	}
	reply, err := l.call(b.Context(), invocation("m", `{"tokens":100,"stream":true}`))
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reply.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// endlessly is an answer of a model that never ends.
type endlessly struct {
	chunk *rpc.Message
	meter *rpc.Meter
	used  *rpc.Usage
}

func (e endlessly) Next() (*rpc.Message, error) {
	e.used.Output++
	e.meter.Part(*e.used)
	return e.chunk, nil
}
func (endlessly) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (endlessly) Close() error              { return nil }
