package conversation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/conversation"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/embedded"
)

// backend answers with what answers has for the text that it was sent last, and keeps what it was sent.
type backend struct {
	mu      sync.Mutex
	got     []string // params, in order
	answer  func(m *rpc.Message) *rpc.Reply
	carries bool
}

func (b *backend) Handle(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	b.mu.Lock()
	b.got = append(b.got, string(c.Message.Params))
	b.mu.Unlock()
	var meter rpc.Meter
	c.Record.Try(rpc.Hop{Upstream: c.Target.Upstream}).Metered(&meter)
	meter.Uses(rpc.Usage{Input: 3, Output: 2})
	if b.answer == nil {
		return unary(`{"output":"yes","finish_reason":"stop"}`), nil
	}
	return b.answer(c.Message), nil
}

func (b *backend) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got[len(b.got)-1]
}

func unary(result string) *rpc.Reply {
	return rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte(result)))
}

// messages is a reply of several messages, and an error after them.
type messages struct {
	all []*rpc.Message
	err error
}

func (s *messages) Next() (*rpc.Message, error) {
	if len(s.all) == 0 {
		if s.err != nil {
			return nil, s.err
		}
		return nil, io.EOF
	}
	m := s.all[0]
	s.all = s.all[1:]
	return m, nil
}
func (*messages) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*messages) Close() error              { return nil }

func stream(result string, texts ...string) *rpc.Reply {
	s := &messages{}
	for _, text := range texts {
		s.all = append(s.all, infer.TextChunk(text))
	}
	s.all = append(s.all, rpc.NewResult(rpc.NumberID(1), []byte(result)))
	return rpc.NewReply(s)
}

// talk is a keeper with a session whose client wants a history.
type talk struct {
	t       *testing.T
	keeper  *conversation.Keeper
	engine  *embedded.Engine
	backend *backend
	handler rpc.Handler
	ended   []string // sessions
}

func newTalk(t *testing.T, cfg conversation.Config) *talk {
	t.Helper()
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "state.db"), embedded.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close(context.Background()) })
	b := &backend{carries: true}
	out := &talk{t: t, engine: engine, backend: b}
	out.keeper = conversation.New(conversation.Deps{
		Store: engine.Conversations(), Carries: func(*rpc.Call) bool { return b.carries }, Log: slog.New(slog.DiscardHandler),
		End: func(_ context.Context, session string, _ error) { out.ended = append(out.ended, session) },
	}, cfg)
	out.handler = rpc.Chain(b, out.keeper.Guard, out.keeper.Remember)
	if err := out.keeper.Open(t.Context(), "s", infer.Introduction{History: true}); err != nil {
		t.Fatal(err)
	}
	return out
}

var usual = conversation.Config{Idle: time.Hour, Max: time.Hour, Turns: 10, Bytes: 10_000}

// call is an invoke of the session with the history.
func call(params string) *rpc.Call {
	method, _ := infer.Lookup(infer.Invoke)
	c := &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), infer.Invoke, []byte(params)), Method: method, Dialect: rpc.Infer, Record: &rpc.Record{},
		Client: rpc.Client{Session: "s"}, Target: rpc.Target{Kind: rpc.Model, Canonical: "m", Upstream: "m", Own: "m"},
	}
	conversation.Wish(&c.Client, infer.Introduction{History: true})
	return c
}

// says makes an invoke and reads it to its end.
func (k *talk) says(c *rpc.Call) error {
	reply, err := k.handler.Handle(k.t.Context(), c)
	if err != nil {
		return err
	}
	defer reply.Close()
	for err == nil {
		_, err = reply.Next()
	}
	if rpc.IsEnd(err) {
		return nil
	}
	return err
}

// sends makes an invoke and checks what the backend was sent.
func (k *talk) sends(params, want string) {
	k.t.Helper()
	if err := k.says(call(params)); err != nil {
		k.t.Fatalf("%s: %v", params, err)
	}
	if got := k.backend.last(); !sameJSON(k.t, got, want) {
		k.t.Errorf("%s was sent as\n%s, want\n%s", params, got, want)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatalf("%v: %s, %s", err, a, b)
	}
	return cmp.Equal(x, y)
}

func (k *talk) stands(turns int, used state.Tokens) {
	k.t.Helper()
	got, ok, err := k.keeper.Standing(k.t.Context(), call(`{}`))
	if err != nil || !ok || got.Turns != turns || got.Used != used {
		k.t.Errorf("it stands at %+v, %v, %v, want %d turns, %+v", got, ok, err, turns, used)
	}
}

func TestAPromptGoesOnWithWhatWasSaid(t *testing.T) {
	t.Parallel()
	k := newTalk(t, usual)
	k.sends(`{"model":"m","prompt":"a"}`, `{"model":"m","prompt":"a"}`)
	k.sends(`{"model":"m","prompt":"b","x":1.0}`,
		`{"model":"m","x":1.0,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"yes"},{"role":"user","content":"b"}]}`)
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{"finish_reason":"stop"}`, "n", "o", "\n") }
	k.sends(`{"model":"m","messages":[{"role":"system","content":"s"}, {"role":"user","content":"c"}],"stream":true}`,
		`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"c"}],"stream":true}`)
	k.sends(`{"model":"m","prompt":"d"}`,
		`{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"yes"},{"role":"user","content":"b"},{"role":"assistant","content":"yes"},
		{"role":"system","content":"s"},{"role":"user","content":"c"},{"role":"assistant","content":"no\n"},{"role":"user","content":"d"}]}`)
	k.stands(4, state.Tokens{Input: 12, Output: 8})
}

func TestEachModelHasItsOwnHistory(t *testing.T) {
	t.Parallel()
	k := newTalk(t, usual)
	k.sends(`{"model":"m","prompt":"a"}`, `{"model":"m","prompt":"a"}`)
	other := call(`{"model":"n","prompt":"b"}`)
	other.Target.Canonical, other.Target.Upstream, other.Target.Own = "n", "n", "n"
	if err := k.says(other); err != nil || k.backend.last() != `{"model":"n","prompt":"b"}` {
		t.Errorf("%v, %s", err, k.backend.last())
	}
	k.stands(2, state.Tokens{Input: 6, Output: 4})
}

func TestAContextStandsForTheHistory(t *testing.T) {
	t.Parallel()
	k := newTalk(t, usual)
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return unary(`{"output":"yes","context":[1,2,3]}`) }
	history := `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"yes"},{"role":"user","content":"b"}]`
	k.sends(`{"model":"m","prompt":"a"}`, `{"model":"m","prompt":"a"}`)
	routed := call(`{"model":"m","prompt":"b"}`)
	routed.Target.Upstream = "another" // to which the context says nothing
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{"usage":{}}`) }
	if err := k.says(routed); err != nil || !sameJSON(t, k.backend.last(), `{"model":"m",`+history+`}`) {
		t.Errorf("%v, %s", err, k.backend.last())
	}

	k = newTalk(t, usual)
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return unary(`{"output":"yes","context":[1,2,3]}`) }
	k.sends(`{"model":"m","prompt":"a"}`, `{"model":"m","prompt":"a"}`)
	k.sends(`{"model":"m","prompt":"b","context":[7]}`, `{"model":"m","prompt":"b","context":[7]}`) // the client's own
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{"context":[4,5]}`, "no") }
	k.sends(`{"model":"m","prompt":"c","stream":true}`, `{"model":"m","prompt":"c","stream":true,"context":[1,2,3]}`)
	k.sends(`{"model":"m","prompt":"d"}`, `{"model":"m","prompt":"d","context":[4,5]}`)
	k.backend.carries = false
	if err := k.says(call(`{"model":"m","prompt":"e"}`)); err != nil || strings.Contains(k.backend.last(), "context") {
		t.Errorf("%v, %s", err, k.backend.last())
	}
	k.stands(5, state.Tokens{Input: 15, Output: 10})
}

func TestWhatBreaksOffIsNoTurn(t *testing.T) {
	t.Parallel()
	k := newTalk(t, usual)
	broken := rpc.Errorf(rpc.UpstreamFailed, "broke off")
	for i, answer := range []func(*rpc.Message) *rpc.Reply{
		func(*rpc.Message) *rpc.Reply {
			return rpc.NewReply(&messages{all: []*rpc.Message{infer.TextChunk("ye")}, err: broken})
		},
		func(m *rpc.Message) *rpc.Reply {
			return rpc.Respond(rpc.NewError(m.ID, &rpc.WireError{Code: -32007, Message: "no"}))
		},
	} {
		k.backend.answer = answer
		if err := k.says(call(`{"model":"m","prompt":"a"}`)); i == 0 && !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
	}
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{}`, "a", "b", "c") }
	reply, err := k.handler.Handle(t.Context(), call(`{"model":"m","prompt":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = reply.Next() // a client that has enough
	_ = reply.Close()
	k.stands(0, state.Tokens{Input: 9, Output: 6})
	k.backend.answer = nil
	k.sends(`{"model":"m","prompt":"b"}`, `{"model":"m","prompt":"b"}`)
}

func TestTheOldestTurnsGoFirst(t *testing.T) {
	t.Parallel()
	cfg := usual
	cfg.Turns = 2
	k := newTalk(t, cfg)
	for _, prompt := range []string{"a", "b", "c"} {
		if err := k.says(call(`{"model":"m","prompt":"` + prompt + `"}`)); err != nil {
			t.Fatal(err)
		}
	}
	k.sends(`{"model":"m","prompt":"d"}`, `{"model":"m","messages":[{"role":"user","content":"b"},{"role":"assistant","content":"yes"},
		{"role":"user","content":"c"},{"role":"assistant","content":"yes"},{"role":"user","content":"d"}]}`)
	cfg.Bytes = 200
	k.keeper.Configure(cfg)
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{}`, strings.Repeat("x", 150), strings.Repeat("x", 150)) }
	if err := k.says(call(`{"model":"m","prompt":"e","stream":true}`)); err != nil {
		t.Fatal(err)
	}
	k.sends(`{"model":"m","prompt":"f"}`, `{"model":"m","prompt":"f"}`) // an answer that is too long takes all with it
}

// Of invokes at once each goes on from what there was, and none is lost.
func TestInvokesAtOnceLoseNoTurns(t *testing.T) {
	t.Parallel()
	const crowd = 16
	cfg := usual
	cfg.Turns = 2 * crowd
	k := newTalk(t, cfg)
	k.backend.answer = func(*rpc.Message) *rpc.Reply { return stream(`{"context":[1]}`, "y", "es") }
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			if err := k.says(call(fmt.Sprintf(`{"model":"m","prompt":"p%d","stream":true}`, i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	k.stands(crowd, state.Tokens{Input: 3 * crowd, Output: 2 * crowd})
	k.backend.carries = false
	if err := k.says(call(`{"model":"m","prompt":"last"}`)); err != nil {
		t.Fatal(err)
	}
	for i := range crowd {
		if want := fmt.Sprintf(`{"role":"user","content":"p%d"},{"role":"assistant","content":"yes"}`, i); !strings.Contains(k.backend.last(), want) {
			t.Errorf("%s is not in %s", want, k.backend.last())
		}
	}
}

func TestWhatIsForgottenReadsLikeWhatNeverWas(t *testing.T) {
	t.Parallel()
	k := newTalk(t, usual)
	c := call(`{"model":"m","prompt":"a"}`)
	c.Client.Session = "another"
	if err := k.says(c); rpc.CodeOf(err) != rpc.SessionUnknown || strings.Contains(err.Error(), "expired") {
		t.Errorf("the error is %v", err)
	}
	if len(k.backend.got) != 0 || !slices.Equal(k.ended, []string{"another"}) {
		t.Errorf("the backend was sent %s, and %q ended", k.backend.got, k.ended)
	}
	c = call(`{"model":"m","prompt":"a"}`)
	c.Client.Capabilities = nil // no history was wanted
	c.Client.Session = "another"
	if err := k.says(c); err != nil {
		t.Error(err)
	}
}

func TestNothingIsKeptWithoutAStore(t *testing.T) {
	t.Parallel()
	k := conversation.New(conversation.Deps{Log: slog.New(slog.DiscardHandler)}, usual)
	if err := k.Able(infer.Introduction{History: true}); rpc.CodeOf(err) != rpc.StateUnavailable {
		t.Errorf("the error is %v", err)
	}
	if err := k.Able(infer.Introduction{}); err != nil {
		t.Error(err)
	}
}

// failing is an engine that cannot be asked.
type failing struct{ state.Conversations }

func (failing) Touch(context.Context, string) (state.Conversation, error) {
	return state.Conversation{}, state.ErrUnavailable
}

func (failing) Recall(context.Context, string, string) (state.History, error) {
	return state.History{}, state.ErrUnavailable
}

func TestAnInvokeNeedsTheEngine(t *testing.T) {
	t.Parallel()
	k := conversation.New(conversation.Deps{Store: failing{}, Log: slog.New(slog.DiscardHandler)}, usual)
	h := rpc.Chain(&backend{}, k.Guard, k.Remember)
	_, err := h.Handle(t.Context(), call(`{"model":"m","prompt":"a"}`))
	if e := rpc.AsError(err); e.Code != rpc.StateUnavailable || e.RetryAfter == 0 {
		t.Errorf("the error is %v", err)
	}
}
