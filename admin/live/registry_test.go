package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
)

// about is what a test's call is.
func about(c *rpc.Call) Kind {
	switch {
	case c.Method.Name == "stream":
		return Stream
	case c.Message.IsRequest():
		return Request
	}
	return Passing
}

func newCall(method string) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(7), method, nil), Method: &rpc.Method{Name: method}, Dialect: rpc.MCP, Received: time.Now(),
		Endpoint: "/mcp", Header: http.Header{}, Remote: netip.MustParseAddrPort("192.0.2.1:99"), Record: &rpc.Record{},
	}
}

// hanging is a reply that says nothing until it is stopped or closed.
type hanging struct {
	ctx    context.Context
	closed chan struct{}
}

func (h *hanging) Next() (*rpc.Message, error) {
	select {
	case <-h.ctx.Done():
		return nil, context.Cause(h.ctx)
	case <-h.closed:
		return nil, io.EOF
	}
}
func (*hanging) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (h *hanging) Close() error            { close(h.closed); return nil }

// settling is a chain with a registry around a handler, which resolves calls.
func settling(r *Registry, h rpc.HandlerFunc) rpc.Handler {
	resolve := func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			c.Principal = rpc.Principal{Org: "acme", Team: "build", User: "someone"}
			c.Target = rpc.Target{Kind: rpc.Tool, Canonical: "a__b", Upstream: "a"}
			c.Client.Session = strings.Repeat("5e", 16)
			return next.Handle(ctx, c)
		})
	}
	return rpc.Chain(h, rpc.Observe(r), resolve, r.Settle)
}

func TestACallIsListedUntilItEnds(t *testing.T) {
	t.Parallel()
	r := New(about)
	ctx, cancel := context.WithCancelCause(t.Context())
	h := settling(r, func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Try(rpc.Hop{Upstream: "a", Backend: "10.0.0.1:80"})
		return rpc.NewReply(&hanging{ctx, make(chan struct{})}), nil
	})
	c := newCall("tools/call")
	c.Stopper = rpc.StopFunc(cancel)
	reply, err := h.Handle(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Flying(Request)
	if len(got) != 1 || len(r.Flying(Stream)) != 0 {
		t.Fatalf("%d calls, %d streams", len(got), len(r.Flying(Stream)))
	}
	if c := got[0]; c.Method != "tools/call" || c.Phase != "upstream" || c.Target != "a__b" || c.Upstream != "a" || c.Backend != "10.0.0.1:80" ||
		c.Principal != (Principal{Org: "acme", Team: "build", User: "someone"}) || c.Session != "5e5e5e5e5e5e5e5e" || c.Request != "7" ||
		!c.Stoppable || c.Attempts != 1 || c.Remote != "192.0.2.1:99" {
		t.Errorf("%+v", c)
	}
	id, ok := ParseID(got[0].ID)
	if !ok || r.Stop(id+1, io.EOF) || r.Stop(id^shardCount, io.EOF) {
		t.Fatalf("another call than %s can be stopped", got[0].ID)
	}
	cause := errors.New("stop")
	if !r.Stop(id, cause) {
		t.Fatal("the call cannot be stopped")
	}
	if _, err := reply.Next(); !errors.Is(err, cause) {
		t.Errorf("the call ended with %v", err)
	}
	if calls, streams := r.Counts(); calls != 1 || streams != 0 {
		t.Errorf("before its end: %d calls, %d streams", calls, streams)
	}
	if err := reply.Close(); err != nil {
		t.Fatal(err)
	}
	if calls, _ := r.Counts(); calls != 0 || len(r.Flying(Request)) != 0 || r.Stop(id, cause) {
		t.Errorf("%d calls after the end", calls)
	}
	late := r.Late()
	if len(late) != 1 || late[0].ID != got[0].ID || late[0].Outcome != "internal" || late[0].Timing.Total <= 0 || late[0].Backend != "10.0.0.1:80" {
		t.Errorf("remembered as %+v", late)
	}
}

// What policies refuse, before it is known what it is about, is remembered; what is no
// request is not even listed.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	r := New(about)
	refused := rpc.Chain(nil, rpc.Observe(r), func(rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			if got := r.Flying(Request); len(got) != 1 || got[0].Phase != "deciding" || got[0].Remote != "" {
				t.Errorf("while it is decided: %+v", got)
			}
			return nil, rpc.Errorf(rpc.Forbidden, "no")
		})
	})
	if _, err := refused.Handle(t.Context(), newCall("tools/call")); err == nil {
		t.Fatal("it passed")
	}
	if late := r.Late(); len(late) != 1 || late[0].Outcome != "forbidden" || late[0].Timing.Policy != late[0].Timing.Total {
		t.Errorf("%+v", late)
	}
	note := newCall("notifications/x")
	note.Message = rpc.NewNotification("notifications/x", nil)
	reply, err := settling(r, func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		if calls, streams := r.Counts(); calls+streams != 0 {
			t.Errorf("a notification is listed")
		}
		return rpc.Respond(nil), nil
	}).Handle(t.Context(), note)
	if err != nil || reply.Close() != nil || len(r.Late()) != 1 {
		t.Errorf("%v, %d remembered", err, len(r.Late()))
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	r := New(about)
	c := newCall("tools/call")
	c.Record.Place.Call = c
	phase := func() string {
		got := show(&c.Record.Place, Request, time.Now())
		return got.Phase + " " + got.Waits
	}
	var try *rpc.Try
	note := rpc.NewNotification("notifications/progress", nil)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "deciding "},
		{func() { c.Record.Note(rpc.Routed, "a", 0) }, "deciding "},
		{func() { c.Record.Waits("a") }, "queued a"},
		{func() { c.Record.Waited("a", time.Second) }, "deciding "},
		{func() { try = c.Record.Try(rpc.Hop{Upstream: "a"}) }, "upstream "},
		{func() { try.Saw(note) }, "answering "},
		{func() { c.Record.Note(rpc.Asked, "elicitation/create", 0) }, "asking elicitation/create"},
		{func() { c.Record.Note(rpc.Replied, "", 0) }, "answering "},
		{func() { try.End(errors.New("down")); c.Record.Again("retry"); c.Record.Waits("a") }, "queued a"},
		{func() { c.Record.Waits(""); c.Record.Try(rpc.Hop{Upstream: "a"}) }, "upstream "},
	} {
		if step.do(); phase() != step.want {
			t.Errorf("%q, want %q", phase(), step.want)
		}
	}
	_ = r
}

func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	r := New(about)
	h := settling(r, func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte("{}"))), nil
	})
	for range 4 * pastSize * shardCount {
		run(t, h, newCall("tools/call"))
	}
	late := r.Late()
	if len(late) > pastSize*shardCount || len(late) < pastSize*shardCount/2 {
		t.Errorf("%d calls are remembered", len(late))
	}
	for i := range late[1:] {
		if late[i+1].Received.After(late[i].Received) {
			t.Fatalf("call %d came after call %d", i+1, i)
		}
	}
}

// What comes from outside is bounded, and is text.
func TestTextFromOutside(t *testing.T) {
	t.Parallel()
	var short text
	short.set(strings.Repeat("é", 100))
	for _, got := range []string{Clip(strings.Repeat("x", 5000)), Clip("a\xff"), short.String()} {
		if len(got) > maxText+4 || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%d bytes: %.10q", len(got), got)
		}
	}
	for _, bad := range []string{"", "0", "x", strings.Repeat("0", 15), strings.Repeat("0", 17), "-00000000000000f", strings.Repeat("g", 16), "0x00000000000001"} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("%q is an id", bad)
		}
	}
	if id, ok := ParseID(FormatID(1<<63 + 5)); !ok || id != 1<<63+5 {
		t.Errorf("%x", id)
	}
}

func run(tb testing.TB, h rpc.Handler, c *rpc.Call) {
	reply, err := h.Handle(tb.Context(), c)
	if err != nil {
		tb.Error(err)
		return
	}
	for _, err = reply.Next(); err == nil; _, err = reply.Next() {
	}
	_ = reply.Close()
}

// Calls come and go while others look on and stop them.
func TestLookingOnRacesWithNothing(t *testing.T) {
	t.Parallel()
	r := New(about)
	h := settling(r, func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		try := c.Record.Try(rpc.Hop{Upstream: "a", Backend: "b"})
		if c.Message.ID.Raw() == "1" {
			return rpc.NewReply(&hanging{ctx, make(chan struct{})}), nil
		}
		m := rpc.NewResult(c.Message.ID, []byte("{}"))
		try.Saw(m)
		return rpc.Respond(m), nil
	})
	done := make(chan struct{})
	var all, onlookers sync.WaitGroup
	onlookers.Go(func() {
		for {
			for _, c := range r.Flying(Request) {
				if id, _ := ParseID(c.ID); c.Request == "1" {
					r.Stop(id, rpc.Errorf(rpc.Stopped, "stop"))
				}
			}
			r.Late()
			r.Counts()
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for w := range 8 {
		all.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancelCause(t.Context())
				c := newCall(fmt.Sprintf("tools/call%d", w))
				if i%10 == 0 {
					c.Message = rpc.NewRequest(rpc.NumberID(1), "tools/call", nil)
				}
				c.Stopper = rpc.StopFunc(cancel)
				reply, err := h.Handle(ctx, c)
				if err != nil {
					t.Error(err)
					return
				}
				for _, err = reply.Next(); err == nil; _, err = reply.Next() {
				}
				_ = reply.Close()
				*c.Message, c.Target, c.Principal = rpc.Message{}, rpc.Target{}, rpc.Principal{} // the memory is used again
				cancel(nil)
			}
		})
	}
	all.Wait()
	close(done)
	onlookers.Wait()
	if calls, streams := r.Counts(); calls+streams != 0 {
		t.Errorf("%d calls and %d streams are left", calls, streams)
	}
}

// BenchmarkRegistry is what it costs a call to be listed and remembered.
func BenchmarkRegistry(b *testing.B) {
	r := New(about)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := newCall("tools/call")
		c.Target = rpc.Target{Kind: rpc.Tool, Canonical: "upstream__tool", Upstream: "upstream"}
		try := c.Record.Try(rpc.Hop{Upstream: "upstream", Backend: "10.0.0.1:80"})
		try.Saw(rpc.NewResult(c.Message.ID, []byte("{}")))
		for pb.Next() {
			r.Begin(c)
			c.Record.Place.Settled.Store(true)
			r.End(c)
		}
	})
}
