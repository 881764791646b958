package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/embedded"
)

// limited is a gateway's limits over a handler that answers everything.
type limited struct {
	limits *policy.Limits
	served atomic.Int64
	answer func(c *rpc.Call) (*rpc.Reply, error)
}

func newLimited(t testing.TB, limits ...config.Limit) *limited {
	t.Helper()
	return newMetered(t, policy.Meter{}, limits...)
}

// newMetered is newLimited where calls of models are limited too.
func newMetered(t testing.TB, meter policy.Meter, limits ...config.Limit) *limited {
	t.Helper()
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "state.db"), embedded.Options{Log: silent()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for i := range limits {
		if limits[i].Mode == "" {
			limits[i].Mode = "enforce"
		}
		if limits[i].Name == "" {
			limits[i].Name = fmt.Sprintf("limit-%d", i)
		}
		if u := limits[i].Unit; limits[i].Cost == 0 && (u == "requests" || u == "in_flight") {
			limits[i].Cost = config.Millionths
		}
	}
	out := &limited{answer: func(c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}}
	if out.limits, err = policy.NewLimits(limits, engine.Quota(), meter, silent()); err != nil {
		t.Fatal(err)
	}
	return out
}

func (l *limited) call(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	h := rpc.Chain(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		l.served.Add(1)
		return l.answer(c)
	}), l.limits.Rate, l.limits.Budget(anew))
	return h.Handle(ctx, c)
}

// anew is for calls that continue none.
func anew(*rpc.Call) bool { return false }

// whole makes a call and reads its reply to the end.
func (l *limited) whole(ctx context.Context, c *rpc.Call) (header map[string][]string, err error) {
	reply, err := l.call(ctx, c)
	if err != nil {
		return nil, err
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	for {
		if _, err := reply.Next(); errors.Is(err, io.EOF) {
			return reply.Header, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func amount(n int64) config.Amount { return config.Amount(n * config.Millionths) }

func somebody(org, team, key, user string) rpc.Principal {
	return rpc.Principal{Org: org, Team: team, Key: key, User: user}
}

func TestARateRefusesWhatIsTooFast(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Name: "key-rate", Scope: "key", Unit: "requests", Rate: config.Rate{Count: 1, Per: time.Hour}, Burst: 2})
	call := toolCall(t, somebody("acme", "", "k1", ""), "a__b", `{}`)
	for i := range 2 {
		header, err := l.whole(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`"key-rate";r=%d;t=`, 1-i)
		if got := header["RateLimit"]; len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("RateLimit: %q, want %q…", got, want)
		}
		if diff := cmp.Diff([]string{`"key-rate";q=1;w=3600`}, header["RateLimit-Policy"]); diff != "" {
			t.Error(diff)
		}
	}
	_, err := l.whole(t.Context(), call)
	e := rpc.AsError(err)
	if e.Code != rpc.RateLimited || e.RetryAfter <= 50*time.Minute || e.RetryAfter > time.Hour {
		t.Errorf("%v, to be tried again after %v", err, e.RetryAfter)
	}
	wire := mcp.Failure(e)
	for _, member := range []string{`"reason":"rate_limited"`, `"scope":"key"`, `"unit":"requests"`, `"limit":2`, `"remaining":0`, `"retryAfterMs":`, `"resetAt":"`, `"limitName":"key-rate"`} {
		if !strings.Contains(string(wire.Data), member) {
			t.Errorf("the data %s lacks %s", wire.Data, member)
		}
	}
	if _, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "k2", ""), "a__b", `{}`)); err != nil {
		t.Errorf("another key: %v", err)
	}
	if _, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "", "somebody"), "a__b", `{}`)); err != nil {
		t.Errorf("no key: %v", err)
	}
}

// Of four levels the most restrictive refuses and is named, and the others pay nothing.
func TestBudgetsOfFourLevels(t *testing.T) {
	t.Parallel()
	day := func(name, scope string, n int64) config.Limit {
		return config.Limit{Name: name, Scope: scope, Unit: "requests", Limit: amount(n), Per: "day"}
	}
	l := newLimited(t, day("org-day", "org", 100), day("team-day", "team", 10), day("key-day", "key", 100), day("user-day", "user", 100))
	call := toolCall(t, somebody("acme", "build", "k", "eve"), "a__b", `{}`)
	for range 10 {
		if _, err := l.whole(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		_, err := l.whole(t.Context(), call)
		if e := rpc.AsError(err); e.Code != rpc.QuotaExhausted || e.Data.(map[string]any)["limitName"] != "team-day" {
			t.Fatal(err)
		}
	}
	for range 90 { // what the refused ones did not take is there for another team
		if _, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "k2", "bob"), "a__b", `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "k3", "zoe"), "a__b", `{}`))
	if e := rpc.AsError(err); e.Code != rpc.QuotaExhausted || e.Data.(map[string]any)["limitName"] != "org-day" {
		t.Errorf("the organisation has used up its budget: %v", err)
	}
}

// T32: 128 workers share a budget of 50,000 (5,000 under -short), and exactly as many
// calls are admitted.
func TestT32_ABudgetIsExact(t *testing.T) {
	t.Parallel()
	budget := int64(50_000)
	if testing.Short() {
		budget = 5000
	}
	l := newLimited(t, config.Limit{Scope: "org", Unit: "requests", Limit: amount(budget), Per: "day"})
	var all sync.WaitGroup
	var admitted atomic.Int64
	for range 128 {
		all.Go(func() {
			call := toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`)
			for range budget/128 + 50 {
				if _, err := l.whole(t.Context(), call); err == nil {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if admitted.Load() != budget || l.served.Load() != budget {
		t.Errorf("%d of %d admitted, %d served", admitted.Load(), budget, l.served.Load())
	}
}

// Slots are free again when calls end, however they end.
func TestSlotsInFlight(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Name: "slots", Scope: "team", Unit: "in_flight", Tool: "gpu__*", Limit: amount(2)})
	call := toolCall(t, somebody("acme", "build", "", ""), "gpu__render", `{}`)
	var open []*rpc.Reply
	for range 2 {
		reply, err := l.call(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, reply)
	}
	if _, err := l.call(t.Context(), call); rpc.AsError(err).Code != rpc.TooManyInFlight {
		t.Fatalf("a third: %v", err)
	}
	_, err := l.call(t.Context(), call)
	if data, _ := rpc.AsError(err).Data.(map[string]any); data["limit"] != 2.0 || data["resetAt"] != nil {
		t.Errorf("nobody knows when a slot comes free, and yet %v", data)
	}
	if _, err := l.whole(t.Context(), toolCall(t, call.Principal, "cpu__render", `{}`)); err != nil {
		t.Errorf("another tool: %v", err)
	}
	if err := open[0].Close(); err != nil {
		t.Fatal(err)
	}
	l.answer = func(*rpc.Call) (*rpc.Reply, error) { return nil, rpc.Errorf(rpc.UpstreamDown, "down") }
	for range 5 { // a call that fails gives its slot back
		if _, err := l.call(t.Context(), call); rpc.AsError(err).Code != rpc.UpstreamDown {
			t.Fatal(err)
		}
	}
	l.answer = func(*rpc.Call) (*rpc.Reply, error) { panic("in a call") }
	for range 5 { // so does one that panics
		h := policy.Recover(silent())(rpc.HandlerFunc(l.call))
		if _, err := h.Handle(t.Context(), call); rpc.AsError(err).Code != rpc.Internal {
			t.Fatal(err)
		}
	}
	if err := open[1].Close(); err != nil {
		t.Fatal(err)
	}
}

// A client of models whose slots are all in use can cancel what is in flight, unless the limit is about just that.
func TestSlotsInFlightAreThoseOfModels(t *testing.T) {
	t.Parallel()
	slots := config.Limit{Name: "slots", Scope: "team", Unit: "in_flight", Limit: amount(1)}
	about := slots
	about.Name, about.Method = "cancels", "can*"
	who := somebody("acme", "build", "", "")
	call := func(name string, about rpc.Kind) *rpc.Call {
		m := rpc.NewRequest(rpc.NumberID(1), name, nil)
		return &rpc.Call{Message: m, Method: &rpc.Method{Name: name}, Target: rpc.Target{Kind: about}, Dialect: rpc.Infer, Principal: who, Record: &rpc.Record{}}
	}
	for name, tt := range map[string]struct {
		limit   config.Limit
		first   *rpc.Call
		refused bool
	}{"of all": {slots, call("invoke", rpc.Model), false}, "of cancels": {about, call("cancel", rpc.None), true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLimited(t, tt.limit)
			reply, err := l.call(t.Context(), tt.first)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			if _, err := l.call(t.Context(), tt.first); rpc.AsError(err).Code != rpc.TooManyInFlight {
				t.Errorf("one more of that: %v", err)
			}
			if _, err := l.call(t.Context(), call("cancel", rpc.None)); (err != nil) != tt.refused {
				t.Errorf("a cancel: %v", err)
			}
		})
	}
}

// A read for which several upstreams may be asked counts for each of them; what concerns
// none does not.
func TestReadsThatManyAreAskedFor(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Name: "slots", Scope: "team", Unit: "in_flight", Upstream: "lib", Limit: amount(1)})
	call := toolCall(t, somebody("acme", "build", "", ""), "", `{}`)
	for _, test := range []struct {
		target rpc.Target
		served bool
	}{
		{rpc.Target{Kind: rpc.Resource, Own: "x://1"}, true},
		{rpc.Target{Kind: rpc.Resource, Own: "x://1"}, false},
		{rpc.Target{Kind: rpc.Resource, Own: "x://1", Upstream: "other"}, true},
		{rpc.Target{}, true},
	} {
		call.Target = test.target
		if _, err := l.call(t.Context(), call); (err == nil) != test.served {
			t.Errorf("%+v: %v", test.target, err)
		}
	}
}

// What an answer has in bytes is paid before it is passed on, so that a budget of bytes
// is never exceeded.
func TestBytesArePaidBeforeTheyPass(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Scope: "org", Unit: "bytes", Limit: amount(10_000), Per: "day"})
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"text":"`+strings.Repeat("x", 2900)+`"}`))), nil
	}
	call := toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`)
	passed := 0
	for range 10 {
		_, err := l.whole(t.Context(), call)
		if err == nil {
			passed++
		} else if rpc.AsError(err).Code != rpc.QuotaExhausted {
			t.Fatal(err)
		}
	}
	if passed != 3 {
		t.Errorf("%d answers of about 3,000 bytes passed", passed)
	}
}

func TestModesThatDoNotRefuse(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"warn", "shadow"} {
		l := newLimited(t, config.Limit{Scope: "org", Unit: "requests", Limit: amount(1), Per: "day", Mode: mode})
		for range 5 {
			if _, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`)); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
	}
}

func TestACostBeyondTheLimitNeverFits(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Scope: "org", Unit: "usd", Cost: config.Millionths / 2, Limit: config.Millionths / 4, Per: "month"})
	_, err := l.whole(t.Context(), toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`))
	if e := rpc.AsError(err); e.Code != rpc.QuotaExhausted || e.RetryAfter >= 0 || !strings.Contains(e.Message, "costs more than") {
		t.Errorf("%v, to be tried again after %v", err, e.RetryAfter)
	}
}

// T34: addresses of one network of IPv6 are one client; other parts of a call do not
// change whose it is.
func TestT34_AddressesAreCountedByTheirNetwork(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Scope: "ip", Unit: "requests", Limit: amount(1), Per: "day"})
	for _, c := range []struct {
		remote string
		passes bool
	}{
		{"192.0.2.1:1", true},
		{"192.0.2.1:2", false},
		{"[::ffff:192.0.2.1]:3", false},
		{"192.0.2.2:1", true},
		{"[2001:db8::1]:1", true},
		{"[2001:db8::2]:1", false},
		{"[2001:db8:0:1::1]:1", true},
	} {
		call := toolCall(t, rpc.Principal{}, "a__b", `{}`)
		call.Remote = netip.MustParseAddrPort(c.remote)
		if _, err := l.whole(t.Context(), call); (err == nil) != c.passes {
			t.Errorf("%s: %v", c.remote, err)
		}
	}
}

// Names of principals cannot be chosen so that two of them share a budget.
func TestBucketsDoNotCollide(t *testing.T) {
	t.Parallel()
	l := newLimited(t, config.Limit{Scope: "team", Unit: "requests", Limit: amount(1), Per: "day"})
	for _, p := range []rpc.Principal{somebody("a", "bc", "", ""), somebody("ab", "c", "", ""), somebody("a\x00b", "c", "", ""), somebody("a", "b\x00c", "", "")} {
		if _, err := l.whole(t.Context(), toolCall(t, p, "a__b", `{}`)); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// BenchmarkLimits is what one rate and a budget at each of four levels cost a call.
func BenchmarkLimits(b *testing.B) {
	day := func(scope string) config.Limit {
		return config.Limit{Name: scope + "-day", Scope: scope, Unit: "requests", Limit: amount(1 << 40), Per: "day"}
	}
	l := newLimited(b, config.Limit{Name: "key-rate", Scope: "key", Unit: "requests", Rate: config.Rate{Count: 1e9, Per: time.Second}, Burst: 1e9},
		day("org"), day("team"), day("key"), day("user"))
	call := toolCall(b, somebody("acme", "build", "k", "eve"), "a__b", `{}`)
	h := rpc.Chain(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }), l.limits.Rate, l.limits.Budget(anew))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Handle(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}

// What refuses nothing is counted and held like what does, and never stands in the way.
func TestSlotsAndBytesThatAreOnlyWatched(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"in_flight", "bytes"} {
		watched := config.Limit{Name: "watched", Scope: "team", Unit: unit, Limit: amount(1), Mode: "warn"}
		if unit == "bytes" {
			watched.Per, watched.Limit = "day", amount(200)
		}
		l := newLimited(t, watched, config.Limit{Name: "slots", Scope: "team", Unit: "in_flight", Limit: amount(2)})
		l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"text":"`+strings.Repeat("x", 900)+`"}`))), nil
		}
		call := toolCall(t, somebody("acme", "build", "", ""), "gpu__render", `{}`)
		call.Record = &rpc.Record{}
		standing := func() string { return l.limits.Explain(t.Context(), call)[1].Reason }
		before := standing()
		first, err := l.call(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		if standing() == before {
			t.Errorf("%s: a call is not counted: %s", unit, before)
		}
		kept := call.Record.Stake
		kept.Retain()
		_ = first.Close()
		if _, err := l.whole(t.Context(), call); err != nil {
			t.Errorf("%s: beyond what is watched: %v", unit, err)
		}
		second, err := l.call(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.call(t.Context(), call); rpc.AsError(err).Code != rpc.TooManyInFlight {
			t.Errorf("%s: a stake that is kept holds no slot: %v", unit, err)
		}
		_ = second.Close()
		kept.Release()
		if got := standing(); unit == "in_flight" && got != before {
			t.Errorf("after all calls: %s, before: %s", got, before)
		}
	}
}

// Who goes on with a call pays for its bytes and for nothing else.
func TestWhoGoesOnPaysForBytesOnly(t *testing.T) {
	t.Parallel()
	l := newLimited(t,
		config.Limit{Name: "calls", Scope: "org", Unit: "requests", Limit: amount(1), Per: "day"},
		config.Limit{Name: "loud", Scope: "org", Unit: "requests", Limit: amount(1), Per: "day", Mode: "warn"},
		config.Limit{Name: "slots", Scope: "org", Unit: "in_flight", Limit: amount(1)},
		config.Limit{Name: "traffic", Scope: "org", Unit: "bytes", Limit: amount(1000), Per: "day"})
	call := toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`)
	first, err := l.call(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // it has nothing to say
	h := l.limits.Budget(func(*rpc.Call) bool { return true })(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) { return l.answer(c) }))
	rounds := 0
	for ; rounds < 20; rounds++ {
		reply, err := h.Handle(t.Context(), call)
		if err == nil {
			_, err = reply.Next()
			_ = reply.Close()
		}
		if e := rpc.AsError(err); err != nil && (e.Code != rpc.QuotaExhausted || e.Data.(map[string]any)["limitName"] != "traffic") {
			t.Fatal(err)
		} else if err != nil {
			break
		}
	}
	if rounds < 3 || rounds == 20 {
		t.Errorf("%d rounds were made with a budget of 1,000 bytes", rounds)
	}
}
