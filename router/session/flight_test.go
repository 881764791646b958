package session

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// asker is a source that keeps the answers it gets.
type asker struct{ answers []string }

func (*asker) Next() (*rpc.Message, error) { return nil, io.EOF }
func (*asker) Close() error                { return nil }

func (a *asker) Answer(m *rpc.Message) error {
	a.answers = append(a.answers, string(m.AppendTo(nil)))
	return nil
}

func begun(tb testing.TB, s *Session, id rpc.ID) *Flight {
	tb.Helper()
	f, err := s.Begin(id, func(error) {})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func TestCorner5_1_AnswersFindWhoAsked(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	answer := func(m *rpc.Message) { handle(t, r, call(s, mcp.EdgeMethod(mcp.SessionAnswer), m)) }

	one, two := &asker{}, &asker{}
	replyOne, replyTwo := rpc.NewReply(one), rpc.NewReply(two)
	first, second := begun(t, s, rpc.NumberID(1)), begun(t, s, rpc.NumberID(2))
	question := rpc.NewRequest(rpc.StringID("same"), "roots/list", nil)
	q1, ok1 := first.Ask(replyOne, question)
	q2, ok2 := second.Ask(replyTwo, question)
	if !ok1 || !ok2 || string(q1.AppendTo(nil)) == string(q2.AppendTo(nil)) {
		t.Fatalf("%s %s", q1.AppendTo(nil), q2.AppendTo(nil))
	}
	id := func(m *rpc.Message) rpc.ID {
		sent, err := rpc.Parse(m.AppendTo(nil), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return sent.ID
	}
	answer(rpc.NewResult(id(q2), []byte(`{"n": 2.0}`)))
	answer(rpc.NewResult(id(q2), []byte(`"again"`)))
	answer(rpc.NewError(id(q1), &rpc.WireError{Code: -1, Message: "no"}))
	answer(rpc.NewResult(rpc.StringID("same"), []byte(`"the server's own id"`)))
	answer(rpc.NewError(rpc.ID{}, &rpc.WireError{Code: -1, Message: "of nothing"}))
	if got := fmt.Sprint(one.answers); got != `[{"jsonrpc":"2.0","id":"same","error":{"code":-1,"message":"no"}}]` {
		t.Errorf("one got %s", got)
	}
	if got := fmt.Sprint(two.answers); got != `[{"jsonrpc":"2.0","id":"same","result":{"n": 2.0}}]` {
		t.Errorf("two got %s", got)
	}

	// Questions end with their call.
	late, ok := second.Ask(replyTwo, question)
	if !ok {
		t.Fatal("not asked")
	}
	second.Finish()
	answer(rpc.NewResult(id(late), []byte(`"late"`)))
	if len(two.answers) != 1 || len(s.questions) != 0 {
		t.Errorf("%s, %d questions are left", two.answers, len(s.questions))
	}
}

func TestQuestionsOfOneCallAreBounded(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	f := begun(t, s, rpc.NumberID(1))
	source := &asker{}
	reply := rpc.NewReply(source)
	var last *rpc.Message
	for i := range maxQuestions {
		q, ok := f.Ask(reply, rpc.NewRequest(rpc.NumberID(uint64(i)), "roots/list", nil))
		if !ok {
			t.Fatalf("question %d is refused", i)
		}
		last = q
	}
	if _, ok := f.Ask(reply, rpc.NewRequest(rpc.NumberID(99), "roots/list", nil)); ok {
		t.Fatal("one too many is asked")
	}
	sent, err := rpc.Parse(last.AppendTo(nil), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	handle(t, r, call(s, mcp.EdgeMethod(mcp.SessionAnswer), rpc.NewResult(sent.ID, []byte(`{}`))))
	if _, ok := f.Ask(reply, rpc.NewRequest(rpc.NumberID(99), "roots/list", nil)); !ok {
		t.Error("an answer makes no room")
	}
}

// Ids of questions go on after a restart, so that an answer to an earlier one does
// not fit.
func TestQuestionsOfAnEarlierProcessAreOther(t *testing.T) {
	t.Parallel()
	keys := keyring(t)
	before, after := registry(t, Config{}, keys), registry(t, Config{}, keys)
	id := opened(t, before, client)
	a := begun(t, resumed(t, before, id), rpc.NumberID(1))
	if a.session.asked < 1<<40 || a.session.asked > 1<<50 {
		t.Errorf("ids begin at %d: not from the clock, or too large to be exact everywhere", a.session.asked)
	}
	if s := resumed(t, after, id); s.asked < a.session.asked {
		t.Error("ids begin again")
	}
}

func TestCallsOfManyGoroutines(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{InFlight: 1000}, keyring(t))
	id := opened(t, r, client)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				s, err := r.Resume(id, "/mcp")
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				own := rpc.NumberID(uint64(g*1000 + i))
				f, err := s.Begin(own, cancel)
				if err != nil {
					t.Error(err)
					return
				}
				if i%3 == 0 {
					m := rpc.NewNotification(mcp.Cancelled, []byte(`{"requestId":`+own.Raw()+`}`))
					row, _ := mcp.Lookup(mcp.Cancelled, client.Revision)
					if _, err := r.Handle(ctx, call(s, row, m)); err != nil {
						t.Error(err)
					}
					if ctx.Err() == nil {
						t.Error("not cancelled")
					}
				} else if ctx.Err() != nil {
					t.Error("cancelled by somebody else")
				}
				f.Finish()
				cancel(nil)
			}
		})
	}
	wg.Wait()
	if s := resumed(t, r, id); len(s.flights) != 0 {
		t.Errorf("%d calls are left", len(s.flights))
	}
}

// T3: who only has the id of a session takes no place in it, and no id of its calls.
func TestT3_OthersTakeNoPlaceInASession(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{InFlight: 2}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	served := 0
	guarded := r.Guard(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		served++
		return rpc.Respond(nil), nil
	}))
	ask := func(p rpc.Principal, id uint64) (*Flight, error) {
		c := call(s, &rpc.Method{Name: "tools/call"}, rpc.NewRequest(rpc.NumberID(id), "tools/call", nil))
		f := s.Prepare(c.Message.ID, func(error) {})
		c.Principal, c.Flight = p, f
		_, err := guarded.Handle(t.Context(), c)
		return f, err
	}
	var foreign []*Flight
	for id := range uint64(4) {
		f, err := ask(rpc.Principal{User: "mallory"}, id)
		if !isUnknown(err) {
			t.Errorf("a foreign call: %v", err)
		}
		foreign = append(foreign, f)
	}
	first, err := ask(alice, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range foreign {
		f.Finish()
	}
	if _, err := ask(alice, 1); err == nil || rpc.AsError(err).Code != rpc.InvalidRequest {
		t.Errorf("an id in flight: %v", err)
	}
	if _, err := ask(alice, 2); err != nil {
		t.Errorf("a second call: %v", err)
	}
	if _, err := ask(alice, 3); err == nil || rpc.AsError(err).Code != rpc.Busy {
		t.Errorf("a third call: %v", err)
	}
	first.Finish()
	if _, err := ask(alice, 1); err != nil || served != 3 {
		t.Errorf("the id again: %v; %d served", err, served)
	}
}
