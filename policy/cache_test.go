package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/embedded"
)

// cached is a cache over a handler that counts what it is asked.
type cached struct {
	t      testing.TB
	cache  *policy.Cache
	asked  atomic.Int64
	answer func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error)
}

// everything is a configuration that keeps all that may be kept.
var everything = config.Cache{
	MaxSize: 16 * config.MiB, Lists: config.CachedLists{TTL: time.Minute},
	Tools: config.CachedTools{Allow: []string{"one__*"}, TTL: time.Minute},
}

func newCached(t testing.TB, cfg config.Cache, answer string) *cached {
	t.Helper()
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "state.db"), embedded.Options{Log: silent(), CacheBytes: int64(cfg.MaxSize)})
	if err != nil {
		t.Fatal(err)
	}
	out := &cached{t: t, cache: policy.NewCache(context.Background(), cfg, engine.Cache(), mcp.LifetimeOf, silent())}
	out.answers(answer)
	t.Cleanup(func() {
		if err := errors.Join(out.cache.Close(context.Background()), engine.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return out
}

// answers makes every call be answered with a result from now on.
func (k *cached) answers(result string) {
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(result))), nil
	}
}

func (k *cached) handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return k.cache.Middleware(rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		k.asked.Add(1)
		return k.answer(ctx, c)
	})).Handle(ctx, c)
}

// result makes a call and returns its result, or what it failed with.
func (k *cached) result(c *rpc.Call) string {
	k.t.Helper()
	reply, err := k.handle(k.t.Context(), c)
	if err != nil {
		return err.Error()
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	for {
		switch m, err := reply.Next(); {
		case err != nil:
			return err.Error()
		case m.IsResponse() && m.Err != nil:
			return m.Err.Message
		case m.IsResponse():
			return string(m.Clone().Result)
		}
	}
}

// expect fails the test unless the calls so far made so many requests.
func (k *cached) expect(asked int64, what string) {
	k.t.Helper()
	if got := k.asked.Load(); got != asked {
		k.t.Errorf("%s: asked %d times, want %d", what, got, asked)
	}
}

// parsed is a call of a text.
func parsed(t testing.TB, p rpc.Principal, text string, target rpc.Target) *rpc.Call {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	method, ok := mcp.Lookup(m.Method, mcp.LatestModern)
	if !ok {
		t.Fatalf("no method %s", m.Method)
	}
	return &rpc.Call{
		Message: m, Method: method, Dialect: rpc.MCP, Endpoint: "/mcp", Principal: p, Target: target, Record: &rpc.Record{},
		Client: rpc.Client{Revision: mcp.LatestModern, Era: rpc.Modern},
	}
}

// read is a call of resources/read.
func read(t testing.TB, p rpc.Principal, uri string) *rpc.Call {
	t.Helper()
	return parsed(t, p, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%q}}`, uri),
		rpc.Target{Kind: rpc.Resource, Upstream: "one", Own: uri, Exposed: uri, Canonical: uri})
}

// find is a call of a tool that may be cached.
func find(t testing.TB, p rpc.Principal, params string) *rpc.Call {
	t.Helper()
	return parsed(t, p, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__find",`+params+`}}`,
		rpc.Target{Kind: rpc.Tool, Upstream: "one", Own: "find", Exposed: "one__find", Canonical: "one__find", Cacheable: true})
}

var eve, bob = somebody("acme", "", "k1", ""), somebody("acme", "", "k2", "")

const kept = `{"contents":[],"resultType":"complete","ttlMs":60000,"cacheScope":"private"}`

func TestReadsAreAnsweredFromTheCache(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, kept)
	first := k.result(read(t, eve, "file:///a"))
	again := read(t, eve, "file:///a")
	again.Message.SetID(rpc.NumberID(7))
	second := k.result(again)
	k.expect(1, "the same read twice")
	if !again.Record.Cached() {
		t.Error("the record does not say that the answer was cached")
	}
	if first != kept || !strings.HasPrefix(second, `{"contents":[],"resultType":"complete","ttlMs":`) {
		t.Errorf("%s, then %s", first, second)
	}
	k.result(read(t, eve, "file:///b"))
	k.expect(2, "another resource")
	k.result(read(t, bob, "file:///a"))
	k.expect(3, "another caller")
	other := read(t, eve, "file:///a")
	other.Client.Revision = "2025-11-25"
	k.result(other)
	k.expect(4, "another revision")
	other = read(t, eve, "file:///a")
	other.Endpoint = "/mcp/one"
	k.result(other)
	k.expect(5, "another endpoint")
	other = read(t, eve, "file:///a")
	other.Client.Capabilities = []byte(`{"elicitation":{}}`)
	k.result(other)
	k.expect(6, "another client")
	other = read(t, eve, "file:///a")
	other.Client.Capabilities, other.Client.Session = []byte(`{"elicitation":{}}`), "a session that a server may ask"
	k.result(other)
	k.expect(7, "another session")
}

func TestToolsAreCachedByChoice(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, `{"content":[]}`)
	for range 2 {
		k.result(find(t, eve, `"arguments":{"q":1}`))
	}
	k.expect(1, "a tool that was chosen")
	k.result(find(t, eve, `"arguments":{"q":2}`))
	k.expect(2, "other arguments")
	for range 2 {
		c := find(t, eve, `"arguments":{"q":1}`)
		c.Target.Cacheable = false
		k.result(c)
	}
	k.expect(4, "a tool that its server does not mark")
	for range 2 {
		c := find(t, eve, `"arguments":{"q":1}`)
		c.Target.Canonical = "two__find"
		k.result(c)
	}
	k.expect(6, "a tool that was not chosen")
}

// Calls that are not like any other are always made.
func TestCallsThatAreNeverCached(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, `{"content":[]}`)
	k.result(find(t, eve, `"arguments":{}`))
	for _, params := range []string{
		`"arguments":{},"requestState":"s"`, `"arguments":{},"inputResponses":{}`, `"arguments":{},"task":{"ttl":1}`, `"arguments":{},"unheardOf":1`,
		`"arguments":{},"_meta":{"com.example/tenant":"x"}`, `"arguments":{},"_meta":{"traceparent":"x","io.modelcontextprotocol/new":1}`,
	} {
		before := k.asked.Load()
		for range 2 {
			k.result(find(t, eve, params))
		}
		k.expect(before+2, params)
	}
	before := k.asked.Load()
	k.result(find(t, eve, `"arguments":{},"_meta":{"progressToken":4,"traceparent":"00-x","io.modelcontextprotocol/clientInfo":{"name":"x"}}`))
	k.expect(before, "what changes no answer")
}

// Answers that are no answers for another time are given once.
func TestAnswersThatAreNeverCached(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context, *rpc.Call) (*rpc.Reply, error){
		"a refusal": func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, rpc.Errorf(rpc.UpstreamDown, "down") },
		"an error": func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: 1, Message: "no"})), nil
		},
		"a reply without an end": func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil },
		"a question": func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			return rpc.NewReply(&script{messages: []*rpc.Message{
				rpc.NewRequest(rpc.NumberID(3), mcp.ElicitationCreate, nil), rpc.NewResult(c.Message.ID, []byte(kept)),
			}}), nil
		},
		"isError":        results(`{"content":[],"isError":true,"ttlMs":1000}`),
		"input_required": results(`{"resultType":"input_required","inputRequests":{},"requestState":"s","ttlMs":1000}`),
		"a task":         results(`{"resultType":"task","ttlMs":1000}`),
		"odd resultType": results(`{"resultType":7,"ttlMs":1000}`),
		"no object":      results(`[]`),
	} {
		for kind, call := range map[string]*rpc.Call{"tool": find(t, eve, `"arguments":{}`), "resource": read(t, eve, "file:///a")} {
			k := newCached(t, everything, "")
			k.answer = answer
			for range 3 {
				k.result(call)
			}
			k.expect(3, name+" of a "+kind)
		}
	}
	for name, answer := range map[string]string{
		"zero": `{"contents":[],"ttlMs":0}`, "negative": `{"contents":[],"ttlMs":-5}`, "no number": `{"contents":[],"ttlMs":"60000"}`,
	} {
		k := newCached(t, everything, answer)
		for range 3 {
			k.result(read(t, eve, "file:///a"))
		}
		k.expect(3, name)
	}
	unsaid := everything
	unsaid.Lists.TTL = 0
	k := newCached(t, unsaid, `{"contents":[]}`)
	for range 3 {
		k.result(read(t, eve, "file:///a"))
	}
	k.expect(3, "a server that says nothing, and no operator either")
}

// What one upstream answers in the place of another is not kept as the other's.
func TestAnswersOfStandInsAreNotKept(t *testing.T) {
	t.Parallel()
	for by, asked := range map[string]int64{"one": 1, "two": 3} {
		k := newCached(t, everything, "")
		k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			c.Record.Try(rpc.Hop{Upstream: "one"})
			c.Record.Try(rpc.Hop{Upstream: by})
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(kept))), nil
		}
		for range 3 {
			call := find(t, eve, `"arguments":{}`)
			call.Route, call.Record = &rpc.Route{Fallback: []string{"two"}}, &rpc.Record{}
			k.result(call)
		}
		k.expect(asked, "answered by "+by)
	}
}

// What was converted no longer says how long it may be kept; the record does.
func TestTheRecordSaysHowLong(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, "")
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Lifetime = &rpc.Lifetime{Said: true}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"contents":[]}`))), nil
	}
	for range 2 {
		k.result(read(t, eve, "file:///a"))
	}
	k.expect(2, "a modern server that allows nothing, to a legacy client")
}

// What a legacy server writes into its result is no lifetime; the operator's holds, for the
// caller alone.
func TestLegacyServersSayNothing(t *testing.T) {
	t.Parallel()
	cfg := everything
	cfg.SharePublic = true
	k := newCached(t, cfg, "")
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		reply := rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"contents":[],"ttlMs":0,"cacheScope":"public"}`)))
		reply.Revision = mcp.LatestLegacy
		return reply, nil
	}
	for range 2 {
		k.result(read(t, eve, "file:///a"))
		k.result(read(t, bob, "file:///a"))
	}
	k.expect(2, "two callers of a legacy server")
}

func results(result string) func(context.Context, *rpc.Call) (*rpc.Reply, error) {
	return func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(result))), nil
	}
}

// script is a reply of several messages.
type script struct{ messages []*rpc.Message }

func (s *script) Next() (*rpc.Message, error) {
	if len(s.messages) == 0 {
		return nil, io.EOF
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}
func (*script) Answer(*rpc.Message) error { return nil }
func (*script) Close() error              { return nil }

// Public answers are for others only if the operator agrees.
func TestPublicAnswersAreSharedByAgreement(t *testing.T) {
	t.Parallel()
	for _, agreed := range []bool{false, true} {
		cfg := everything
		cfg.SharePublic = agreed
		for scope, shared := range map[string]bool{`"public"`: agreed, `"private"`: false, `7`: false} {
			k := newCached(t, cfg, `{"contents":[],"ttlMs":60000,"cacheScope":`+scope+`}`)
			k.result(read(t, eve, "file:///a"))
			k.result(read(t, eve, "file:///a"))
			k.expect(1, scope)
			k.result(read(t, bob, "file:///a"))
			k.expect(map[bool]int64{true: 1, false: 2}[shared], fmt.Sprintf("%s, share_public %v", scope, agreed))
		}
	}
}

// An answer says how long it still may be kept, and is fetched anew after that.
func TestLifetimesGetLessByAge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, stop := bubbled(t, dir, everything, kept)
		defer stop()
		k.result(read(t, eve, "file:///a"))
		time.Sleep(20*time.Second + 500*time.Microsecond)
		want := `{"contents":[],"resultType":"complete","ttlMs":39999,"cacheScope":"private"}`
		if diff := cmp.Diff(want, k.result(read(t, eve, "file:///a"))); diff != "" {
			t.Error(diff)
		}
		k.expect(1, "within its time")
		time.Sleep(40 * time.Second)
		if diff := cmp.Diff(kept, k.result(read(t, eve, "file:///a"))); diff != "" {
			t.Error(diff)
		}
		k.expect(2, "after its time")
	})
}

// bubbled is newCached for a test with a clock of its own.
func bubbled(t *testing.T, dir string, cfg config.Cache, answer string) (*cached, func()) {
	engine, err := embedded.Open(filepath.Join(dir, "state.db"), embedded.Options{Log: silent(), CacheBytes: int64(cfg.MaxSize)})
	if err != nil {
		t.Fatal(err)
	}
	k := &cached{t: t, cache: policy.NewCache(context.Background(), cfg, engine.Cache(), mcp.LifetimeOf, silent())}
	k.answers(answer)
	return k, func() {
		if err := errors.Join(k.cache.Close(context.Background()), engine.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}
}

// A stale answer is given once more while one new one is fetched, which nobody waits for.
func TestStaleAnswersAreRevived(t *testing.T) {
	t.Parallel()
	cfg := everything
	cfg.Tools.Stale = time.Minute
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, stop := bubbled(t, dir, cfg, `{"content":["old"]}`)
		defer stop()
		call := func() *rpc.Call { return find(t, eve, `"arguments":{}`) }
		k.result(call())
		time.Sleep(time.Minute)
		release := make(chan struct{})
		k.answer = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			select {
			case <-release:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"content":["new"]}`))), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			reply, err := k.handle(ctx, call())
			if err != nil {
				t.Fatal(err)
			}
			if m, err := reply.Next(); err != nil || string(m.Clone().Result) != `{"content":["old"]}` {
				t.Fatalf("%v, %v", m, err)
			}
			_ = reply.Close()
		}
		cancel() // who was given the old one need not stay
		synctest.Wait()
		k.expect(2, "while one is being fetched")
		close(release)
		synctest.Wait()
		if got := k.result(call()); got != `{"content":["new"]}` {
			t.Error(got)
		}
		k.expect(2, "after it was fetched")

		time.Sleep(3 * time.Minute)
		if got := k.result(call()); got != `{"content":["new"]}` {
			t.Error(got)
		}
		k.expect(3, "too old even to be stale")

		time.Sleep(time.Minute)
		k.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { panic("nobody above recovers") }
		k.result(call())
		synctest.Wait()
		k.answer = func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		k.result(call()) // closing ends what still runs
		synctest.Wait()
		k.expect(5, "after a panic")
	})
}

// Of equal calls at the same time one is made.
func TestEqualCallsAreMadeOnce(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, "")
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		once.Do(func() { close(began) })
		<-release
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(kept))), nil
	}
	var all sync.WaitGroup
	ask := func() {
		all.Go(func() {
			if got := k.result(read(t, eve, "file:///a")); !strings.HasPrefix(got, `{"contents":[]`) {
				t.Error(got)
			}
		})
	}
	ask()
	<-began
	for range 50 {
		ask()
	}
	close(release)
	all.Wait()
	k.expect(1, "fifty-one readers")
}

// When whoever makes the call goes away, one of those who wait makes it instead; when it
// fails, each makes its own.
func TestWhoWaitsGetsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{true, false} {
		whoWaits(t, cancelled)
	}
}

func whoWaits(t *testing.T, cancelled bool) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k, stop := bubbled(t, dir, everything, "")
		defer stop()
		var leader atomic.Bool
		k.answer = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if !leader.Swap(true) {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(time.Second):
					return nil, rpc.Errorf(rpc.UpstreamDown, "down")
				}
			}
			time.Sleep(time.Second)
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(kept))), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = k.handle(ctx, read(t, eve, "file:///a")) }()
		synctest.Wait()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got := k.result(read(t, eve, "file:///a")); !strings.HasPrefix(got, `{"contents":[]`) {
					t.Error(got)
				}
			})
		}
		synctest.Wait()
		k.expect(1, "all wait for the first")
		if cancelled {
			cancel()
		}
		all.Wait()
		k.expect(map[bool]int64{true: 2, false: 11}[cancelled], fmt.Sprintf("cancelled: %v", cancelled))
	})
}

// A reader that was cancelled in the middle of its answer does not keep others waiting.
func TestAReplyThatIsClosedEarlyIsNotCached(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, kept)
	reply, err := k.handle(t.Context(), read(t, eve, "file:///a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := reply.Close(); err != nil {
		t.Fatal(err)
	}
	if got := k.result(read(t, eve, "file:///a")); got != kept {
		t.Error(got)
	}
	k.expect(2, "after the first went away")
}

// What was fetched before a change is not kept after it, nor given to who asks after it.
func TestInvalidationDuringAFetch(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"file:///a", ""} {
		k := newCached(t, everything, `{"contents":["before"],"ttlMs":60000}`)
		first, err := k.handle(t.Context(), read(t, eve, "file:///a"))
		if err != nil {
			t.Fatal(err)
		}
		k.cache.Invalidate(t.Context(), "one", uri)
		k.answers(`{"contents":["after"],"ttlMs":60000}`)
		late := make(chan string)
		go func() { late <- k.result(read(t, eve, "file:///a")) }()
		if m, err := first.Next(); err != nil || !strings.Contains(string(m.Result), "before") {
			t.Fatal(m, err)
		}
		_ = first.Close()
		if got := <-late; !strings.Contains(got, "after") {
			t.Errorf("who asked after the change was told %s", got)
		}
		if got := k.result(read(t, eve, "file:///a")); !strings.Contains(got, "after") {
			t.Errorf("kept %s", got)
		}
	}
}

func TestInvalidationForgetsWhatItConcerns(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, kept)
	all := func() {
		k.result(read(t, eve, "file:///a"))
		k.result(read(t, eve, "file:///b"))
		k.result(find(t, eve, `"arguments":{}`))
	}
	all()
	k.expect(3, "at first")
	k.cache.Invalidate(t.Context(), "one", "file:///a")
	all()
	k.expect(4, "one resource changed")
	k.cache.Invalidate(t.Context(), "two", "")
	all()
	k.expect(4, "another upstream changed")
	k.cache.Invalidate(t.Context(), "one", "")
	all()
	k.expect(7, "the upstream changed")
}

// Hits are free: they pay to rates, and not to budgets.
func TestHitsPayRatesOnly(t *testing.T) {
	t.Parallel()
	k := newCached(t, everything, kept)
	l := newLimited(t,
		config.Limit{Name: "budget", Scope: "key", Unit: "requests", Limit: amount(2), Per: "day"},
		config.Limit{Name: "rate", Scope: "key", Unit: "requests", Rate: config.Rate{Count: 1, Per: time.Hour}, Burst: 4})
	h := rpc.Chain(rpc.HandlerFunc(k.answer), l.limits.Rate, k.cache.Middleware, l.limits.Budget(anew))
	var codes []string
	for range 5 {
		reply, err := h.Handle(t.Context(), read(t, eve, "file:///a"))
		if err != nil {
			codes = append(codes, rpc.AsError(err).Code.String())
			continue
		}
		if _, err := reply.Next(); err != nil {
			t.Fatal(err)
		}
		_ = reply.Close()
		codes = append(codes, "ok")
	}
	if diff := cmp.Diff([]string{"ok", "ok", "ok", "ok", "rate_limited"}, codes); diff != "" {
		t.Error(diff)
	}
}
