package rpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// watcher is an observer that notes what it is told.
type watcher struct {
	begun, ended int
	outcome      rpc.Outcome
	trace        rpc.Trace
}

func (w *watcher) Begin(c *rpc.Call) { w.begun++; c.Record.Trace = w.trace }
func (w *watcher) End(c *rpc.Call)   { w.ended++; w.outcome = c.Record.Outcome() }

// source is a reply of messages and then an error.
type source struct {
	messages []*rpc.Message
	err      error
}

func (s *source) Next() (*rpc.Message, error) {
	if len(s.messages) == 0 {
		return nil, s.end()
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

func (s *source) end() error {
	if s.err != nil {
		return s.err
	}
	return io.EOF
}
func (*source) Answer(*rpc.Message) error { return nil }
func (*source) Close() error              { return nil }

func toolCall() *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "tools/call", []byte(`{"name":"x"}`)), Method: &rpc.Method{Name: "tools/call"},
		Received: time.Now(), Record: &rpc.Record{},
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	id := rpc.NumberID(1)
	refused := rpc.Errorf(rpc.Forbidden, "no")
	tests := map[string]struct {
		notification bool
		refusal      error
		source       source
		unread       bool // the reply is closed before it is read
		want         string
	}{
		"result":                 {source: source{messages: []*rpc.Message{rpc.NewResult(id, []byte(`{}`))}, err: io.EOF}, want: "ok"},
		"failure of a tool":      {source: source{messages: []*rpc.Message{rpc.NewResult(id, []byte(`{"isError":true}`))}}, want: "tool_error"},
		"tool that did not fail": {source: source{messages: []*rpc.Message{rpc.NewResult(id, []byte(`{"isError":false}`))}}, want: "ok"},
		"no object":              {source: source{messages: []*rpc.Message{rpc.NewResult(id, []byte(`7`))}}, want: "ok"},
		"error of the server":    {source: source{messages: []*rpc.Message{rpc.NewError(id, &rpc.WireError{Code: -32602, Message: "bad"})}}, want: "error"},
		"error after a response": {source: source{messages: []*rpc.Message{rpc.NewResult(id, []byte(`{}`))}, err: errors.New("late")}, want: "ok"},
		"refused":                {refusal: refused, want: "forbidden"},
		"failed later":           {source: source{err: rpc.Errorf(rpc.UpstreamDown, "gone")}, want: "upstream_down"},
		"connection ended":       {source: source{err: &rpc.Error{Code: rpc.UpstreamDown, Cause: io.EOF}}, want: "upstream_down"},
		"deadline":               {source: source{err: context.DeadlineExceeded}, want: "upstream_timeout"},
		"gave up":                {source: source{err: context.Canceled}, want: "cancelled"},
		"unknown error":          {source: source{err: errors.New("?")}, want: "internal"},
		"client left":            {unread: true, want: "cancelled"},
		"no response":            {source: source{err: io.EOF}, want: "cancelled"},
		"notification":           {notification: true, source: source{err: io.EOF}, want: "ok"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &watcher{}
			h := rpc.Chain(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
				if tc.refusal != nil {
					return nil, tc.refusal
				}
				return rpc.NewReply(&tc.source), nil
			}), rpc.Observe(w))
			c := toolCall()
			if tc.notification {
				c.Message = rpc.NewNotification("notifications/x", nil)
			}
			reply, err := h.Handle(t.Context(), c)
			if err == nil {
				for err == nil && !tc.unread {
					_, err = reply.Next()
				}
				if w.ended != 0 {
					t.Error("the call ended before its reply was closed")
				}
				_, _ = reply.Close(), reply.Close()
			}
			if w.begun != 1 || w.ended != 1 || w.outcome.String() != tc.want || w.outcome.OK() != (tc.want == "ok") {
				t.Errorf("begun %d, ended %d, outcome %s; want 1, 1, %s", w.begun, w.ended, w.outcome, tc.want)
			}
		})
	}
}

// A panic in a reply is no client that left.
func TestOutcomeOfAPanic(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	h := rpc.Observe(w)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(&panics{}), nil }))
	reply, err := h.Handle(t.Context(), toolCall())
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(){func() { _, _ = reply.Next() }, func() { _ = reply.Close() }} {
		recovering(do)
	}
	if w.ended != 1 || w.outcome.String() != "internal" {
		t.Errorf("ended %d, outcome %s", w.ended, w.outcome)
	}
}

func recovering(do func()) {
	defer func() { _ = recover() }()
	do()
}

func TestOutcomeOfAPanicInWhatIsPushed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source rpc.Source
		want   string
	}{
		"a panic":   {&panics{}, "internal"},
		"none":      {&pushes{}, "cancelled"},
		"no pusher": {&source{}, "cancelled"},
	} {
		w := &watcher{}
		h := rpc.Observe(w)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return rpc.NewReply(rpc.NewReply(tt.source)), nil
		}))
		reply, err := h.Handle(t.Context(), toolCall())
		if err != nil {
			t.Fatal(err)
		}
		took := 0
		recovering(func() { reply.PushTo(taker(func(*rpc.Message) bool { took++; return true })) })
		recovering(func() { _ = reply.Close() })
		if _, can := tt.source.(rpc.Pusher); w.ended != 1 || w.outcome.String() != tt.want || can != (took == 1) {
			t.Errorf("%s: ended %d, outcome %s, took %d", name, w.ended, w.outcome, took)
		}
	}
}

type taker func(*rpc.Message) bool

func (t taker) Take(m *rpc.Message) bool { return t(m) }

type pushes struct{ source }

func (*pushes) Push(to rpc.Taker) bool { return to.Take(rpc.NewNotification("chunk", nil)) }

func (*panics) Push(to rpc.Taker) bool {
	to.Take(rpc.NewNotification("chunk", nil))
	panic("in Push")
}

type panics struct{ source }

func (*panics) Next() (*rpc.Message, error) { panic("in Next") }
func (*panics) Close() error                { panic("in Close") }

func TestRecordTellsWhatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := toolCall()
		r := c.Record
		h := rpc.Observe(&watcher{})(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(time.Second)
			r.Note(rpc.Routed, "files", 0)
			time.Sleep(time.Second)
			r.Waited("files", time.Second)
			first := r.Try(rpc.Hop{Upstream: "files"})
			time.Sleep(time.Second)
			first.End(rpc.Errorf(rpc.UpstreamDown, "gone"))
			first.End(io.EOF) // too late to count
			r.Again("upstream_down")
			second := r.Try(rpc.Hop{Upstream: "files", Backend: "b:1"})
			second.Speak("2025-11-25")
			time.Sleep(time.Second)
			question := rpc.NewRequest(rpc.NumberID(7), "roots/list", nil)
			second.Saw(question)
			time.Sleep(time.Second)
			answer := rpc.NewResult(c.Message.ID, []byte(`{"isError":true}`))
			second.Saw(answer)
			return rpc.NewReply(&source{messages: []*rpc.Message{question, answer}}), nil
		}))
		reply, err := h.Handle(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		q, _ := reply.Next()
		time.Sleep(time.Second)
		if err := reply.Answer(rpc.NewResult(q.ID, []byte("{}"))); err != nil {
			t.Fatal(err)
		}
		_, _ = reply.Next()
		time.Sleep(time.Second)
		_ = reply.Close()
		got := r.Progress()
		got.Attempts[0].Outcome.Err = nil // compared elsewhere
		want := rpc.Progress{
			Age: 7 * time.Second, Answered: 6 * time.Second, Ended: 7 * time.Second, Outcome: rpc.Outcome{ToolError: true},
			Events: []rpc.Event{
				{Kind: rpc.Routed, At: time.Second, Name: "files"},
				{Kind: rpc.Queued, At: 2 * time.Second, Took: time.Second, Name: "files"},
				{Kind: rpc.Repeated, At: 3 * time.Second, Name: "upstream_down"},
				{Kind: rpc.Asked, At: 5 * time.Second, Name: "roots/list"},
				{Kind: rpc.Replied, At: 6 * time.Second},
			},
			Attempts: []rpc.Attempt{
				{Hop: rpc.Hop{Upstream: "files"}, Number: 1, Queued: time.Second, Began: 2 * time.Second, Ended: 3 * time.Second},
				{
					Hop: rpc.Hop{Upstream: "files", Backend: "b:1", Revision: "2025-11-25"}, Number: 2, Reason: "upstream_down",
					Began: 3 * time.Second, First: 4 * time.Second, Ended: 5 * time.Second, Outcome: rpc.Outcome{ToolError: true},
				},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// prompt goes on with the call before Answer returns.
type prompt struct {
	source
	record *rpc.Record
}

func (p *prompt) Answer(*rpc.Message) error {
	p.record.Again("input")
	return nil
}

func TestAnAnswerComesBeforeWhatFollowsFromIt(t *testing.T) {
	t.Parallel()
	c := toolCall()
	h := rpc.Observe(&watcher{})(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(&prompt{record: c.Record}), nil
	}))
	reply, err := h.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Record.Note(rpc.Asked, "roots/list", 0)
	if err := reply.Answer(rpc.NewResult(rpc.NumberID(7), []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	_ = reply.Close()
	var got []rpc.EventKind
	for _, e := range c.Record.Events(nil) {
		got = append(got, e.Kind)
	}
	if want := []rpc.EventKind{rpc.Asked, rpc.Replied, rpc.Repeated}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	r := &rpc.Record{}
	for range 1000 {
		r.Note(rpc.Asked, "roots/list", 0)
		r.Link(rpc.TraceLink{ID: rpc.NewTraceID()})
	}
	if n, links := len(r.Events(nil)), len(r.Links()); n != 64 || links != 8 {
		t.Errorf("%d events and %d links are kept, want 64 and 8", n, links)
	}
}

// A nil record is what calls of the gateway's own have.
func TestNilRecordNotesNothing(t *testing.T) {
	t.Parallel()
	var r *rpc.Record
	r.Note(rpc.Routed, "x", 0)
	r.Waited("x", 1)
	r.Again("x")
	r.Link(rpc.TraceLink{ID: rpc.NewTraceID()})
	attempt := r.Try(rpc.Hop{})
	attempt.Speak("x")
	attempt.Saw(rpc.NewResult(rpc.NumberID(1), []byte("{}")))
	attempt.End(io.EOF)
	attempt.Leave()
	if r.Cached() || attempt != nil || len(attempt.AppendTraceParent(nil)) > 0 || attempt.TraceState() != "" {
		t.Error("something was noted")
	}
}

// An attempt that outlasts its call tells those who wait for its end, once.
func TestAttemptOutlastsItsCall(t *testing.T) {
	t.Parallel()
	r := &rpc.Record{Trace: rpc.Trace{ID: rpc.NewTraceID(), Sampled: true, State: "a=b"}}
	attempt := r.Try(rpc.Hop{Upstream: "files"})
	var got []rpc.Attempt
	if !attempt.OnEnd(func(a rpc.Attempt) { got = append(got, a) }) {
		t.Fatal("the attempt has ended already")
	}
	attempt.Leave()
	attempt.End(nil)
	if len(got) != 1 || got[0].Outcome.String() != "cancelled" || got[0].Span == (rpc.SpanID{}) {
		t.Errorf("told %+v", got)
	}
	if attempt.OnEnd(func(rpc.Attempt) { t.Error("called after the end") }) {
		t.Error("an attempt that has ended promised to end")
	}
	want := "00-" + r.Trace.ID.String() + "-" + got[0].Span.String() + "-01"
	if text := string(attempt.AppendTraceParent(nil)); text != want || attempt.TraceState() != "a=b" {
		t.Errorf("traceparent %s, tracestate %s", text, attempt.TraceState())
	}
}

// A call beside another one is noted by itself, but is part of the same trace, and who asks hears of its attempts, also of those before.
func TestAside(t *testing.T) {
	t.Parallel()
	r := &rpc.Record{Trace: rpc.Trace{ID: rpc.NewTraceID(), Span: rpc.NewSpanID()}}
	aside := r.Aside("mirror")
	aside.Try(rpc.Hop{Upstream: "one"}).Leave()
	var got []string
	for _, a := range r.Asides() {
		a.OnAttempts(func(a rpc.Attempt) { got = append(got, a.Upstream+" "+a.Reason) })
	}
	aside.Try(rpc.Hop{Upstream: "two"}).Leave()
	if diff := cmp.Diff([]string{"one mirror", "two "}, got); diff != "" || aside.Trace != r.Trace || r.Attempts() != 0 {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if (*rpc.Record)(nil).Aside("x") == nil {
		t.Error("a call of the gateway's own has none beside it")
	}
	for range 100 {
		r.Aside("more")
	}
	if n := len(r.Asides()); n != 8 {
		t.Errorf("%d are known, want 8", n)
	}
}

// The live view reads while the call runs, and others go on with a parked call.
func TestRecordIsSharedByGoroutines(t *testing.T) {
	t.Parallel()
	c := toolCall()
	var work sync.WaitGroup
	h := rpc.Observe(&watcher{})(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		attempt := c.Record.Try(rpc.Hop{})
		work.Go(func() { attempt.Saw(rpc.NewResult(c.Message.ID, []byte("{}"))) })
		return rpc.NewReply(&source{messages: []*rpc.Message{rpc.NewResult(c.Message.ID, []byte("{}"))}}), nil
	}))
	work.Go(func() {
		for range 100 {
			c.Record.Progress()
		}
	})
	reply, err := h.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		work.Go(func() { c.Record.Note(rpc.Asked, "roots/list", 0) })
		work.Go(func() { c.Record.Try(rpc.Hop{}).Leave() })
	}
	_, _ = reply.Next()
	_ = reply.Close()
	work.Wait()
	n := 0
	for attempt := c.Record.First(); attempt != nil; attempt = attempt.Next() {
		n++
	}
	if n != 11 || c.Record.Attempts() != n {
		t.Errorf("%d attempts, want 11", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	id := rpc.NumberID(1)
	answer := rpc.NewResult(id, []byte(`{"content":[]}`))
	serve := rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Note(rpc.Routed, "files", 0)
		attempt := c.Record.Try(rpc.Hop{Upstream: "files"})
		attempt.Saw(answer)
		return rpc.Respond(answer), nil
	})
	for name, h := range map[string]rpc.Handler{"off": serve, "on": rpc.Observe(&watcher{})(serve)} {
		b.Run(name, func(b *testing.B) {
			c := toolCall()
			b.ReportAllocs()
			for b.Loop() {
				c.Record = &rpc.Record{}
				reply, err := h.Handle(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = reply.Next()
				_ = reply.Close()
			}
		})
	}
}
