package policy_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// Whatever calls do, in whatever order: what models have made is never more than the ledger says, and as long as they make what they were asked
// for and no chunk is longer than what is kept ahead, never more than the budgets have. When all calls have ended, the
// ledger says what was made, to the token.
func TestTheLedgerIsNeverBelowWhatWasMade(t *testing.T) {
	t.Parallel()
	const budget, money = 3000, 15_000 // tokens, micro-dollars
	l := newMetered(t, meter(), tokens(budget), config.Limit{Name: "money", Scope: "key", Unit: "usd", Limit: money, Per: "day"})
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		b := &budgeted{t: t, limits: l, who: somebody("acme", "", fmt.Sprint(run), "")}
		b.who.Org = fmt.Sprint(run)
		l.answer = b.answer
		t.Repeat(map[string]func(*rapid.T){
			"call":  b.begin,
			"pull":  b.pull,
			"close": b.close,
			"":      func(t *rapid.T) { b.check(t, budget, money) },
		})
		for len(b.open) > 0 {
			b.end(0)
		}
		b.check(t, budget, money)
		tokens, micros := b.made()
		if got := b.ledger(t, "tokens"); got != tokens {
			t.Errorf("the ledger has %d tokens, and %d were made", got, tokens)
		}
		if got := b.ledger(t, "money"); got != micros {
			t.Errorf("the ledger has %d micro-dollars, and %d were spent", got, micros)
		}
	})
}

// budgeted is a run of calls against budgets.
type budgeted struct {
	t       *rapid.T
	limits  *limited
	who     rpc.Principal
	open    []*rpc.Reply
	records []*rpc.Record
}

// begin makes a call.
func (b *budgeted) begin(t *rapid.T) {
	params := fmt.Sprintf(`{"tokens":%d`, rapid.Int64Range(1, 400).Draw(t, "prompt"))
	if most := rapid.Int64Range(0, 500).Draw(t, "most"); most > 0 {
		params += fmt.Sprintf(`,"max_tokens":%d`, most)
	}
	if rapid.Bool().Draw(t, "stream") {
		params += `,"stream":true`
	}
	b.t = t
	call := invocation(rapid.SampledFrom([]string{"m", "free"}).Draw(t, "model"), params+"}")
	call.Principal = b.who
	b.records = append(b.records, call.Record)
	reply, err := b.limits.call(t.Context(), call)
	if err == nil {
		b.open = append(b.open, reply)
	}
}

// answer is what models do: they fail a few times, and then make what they are asked for, and not more.
func (b *budgeted) answer(c *rpc.Call) (*rpc.Reply, error) {
	asked, _ := meter().Demand(c)
	prompt := rapid.Int64Range(0, asked.Input).Draw(b.t, "counted")
	for range rapid.IntRange(0, 2).Draw(b.t, "failures") {
		g := generate(c, prompt)
		g.try.End(rpc.Errorf(rpc.UpstreamDown, "gone"))
		if err := c.Record.Afford(); err != nil {
			return nil, err
		}
	}
	left := asked.Output
	if left == 0 {
		left = 5000
	}
	var parts []part
	for range rapid.IntRange(0, 60).Draw(b.t, "chunks") {
		n := min(left, rapid.Int64Range(1, 60).Draw(b.t, "chunk"))
		parts, left = append(parts, part{tokens: n}), left-n
	}
	if rapid.Bool().Draw(b.t, "breaks") {
		parts = append(parts, part{err: rpc.Errorf(rpc.UpstreamDown, "cut")})
	}
	g := generate(c, prompt, parts...)
	if !g.unary && rapid.Bool().Draw(b.t, "usage") { // the server counts less than was estimated
		var made int64
		for i := range g.parts {
			made += g.parts[i].tokens
		}
		g.parts = append(g.parts, part{usage: &rpc.Usage{Input: prompt, Output: rapid.Int64Range(0, made).Draw(b.t, "made")}})
	}
	return rpc.NewReply(g), nil
}

// pull reads on in some call.
func (b *budgeted) pull(t *rapid.T) {
	if len(b.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(b.open)-1).Draw(t, "which")
	for range rapid.IntRange(1, 60).Draw(t, "times") {
		if _, err := b.open[i].Next(); err != nil {
			b.end(i)
			return
		}
	}
}

// close leaves some call.
func (b *budgeted) close(t *rapid.T) {
	if len(b.open) > 0 {
		b.end(rapid.IntRange(0, len(b.open)-1).Draw(t, "which"))
	}
}

func (b *budgeted) end(i int) {
	_ = b.open[i].Close()
	b.open = append(b.open[:i], b.open[i+1:]...)
}

// made is what all calls have taken, and what it costs.
func (b *budgeted) made() (tokens, micros int64) {
	for _, r := range b.records {
		for try := r.First(); try != nil; try = try.Next() {
			a := try.Attempt()
			tokens += a.Usage.Input + a.Usage.Output
			p := meter().Price(a.Upstream)
			micros += (a.Usage.Input*p.Input + a.Usage.Output*p.Output + 999_999) / 1_000_000
		}
	}
	return tokens, micros
}

// ledger is what is charged and reserved.
func (b *budgeted) ledger(t *rapid.T, name string) int64 {
	accounts, err := b.limits.limits.Accounts(t.Context(), []policy.Caller{{Principal: b.who}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Limit != name {
			continue
		}
		if a.Unit == "usd" {
			return int64((a.Max-a.Remaining)*config.Millionths + 0.5)
		}
		return int64(a.Max - a.Remaining)
	}
	t.Fatalf("no account of %s", name)
	return 0
}

func (b *budgeted) check(t *rapid.T, budget, money int64) {
	tokens, micros := b.made()
	if got := b.ledger(t, "tokens"); tokens > got || tokens > budget {
		t.Fatalf("%d tokens were made, %d are in the ledger, the budget is %d", tokens, got, budget)
	}
	if got := b.ledger(t, "money"); micros > got || micros > money {
		t.Fatalf("%d micro-dollars were spent, %d are in the ledger, the budget is %d", micros, got, money)
	}
}
