package route

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// script is a reply that gives messages in turn.
type script struct {
	messages []*rpc.Message
	err      error // at the end; io.EOF if it is nil
	wait     time.Duration
	answers  atomic.Int32
}

func (s *script) Next() (*rpc.Message, error) {
	time.Sleep(s.wait)
	if len(s.messages) == 0 {
		if s.err != nil {
			return nil, s.err
		}
		return nil, io.EOF
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

func (s *script) Answer(m *rpc.Message) error {
	if m.Err != nil {
		s.answers.Add(1)
	}
	return nil
}

func (*script) Close() error { return nil }

func result(text string) *rpc.Message { return rpc.NewResult(rpc.NumberID(7), []byte(text)) }

func failure(code int64, text string) *rpc.Message {
	return rpc.NewError(rpc.NumberID(7), &rpc.WireError{Code: code, Message: text})
}

func gives(messages ...*rpc.Message) rpc.HandlerFunc {
	return func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(&script{messages: messages}), nil
	}
}

func newMirrors(t *testing.T) *Mirrors {
	t.Helper()
	m := NewMirrors(t.Context(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

// drain reads a reply to its end and closes it.
func drain(r *rpc.Reply) {
	for {
		if _, err := r.Next(); err != nil {
			_ = r.Close()
			return
		}
	}
}

func TestAnswersAreCompared(t *testing.T) {
	t.Parallel()
	progress := rpc.NewNotification(mcp.Progress, []byte(`{"progress":1}`))
	question := rpc.NewRequest(rpc.NumberID(1), mcp.ElicitationCreate, []byte(`{}`))
	large := `{"a":"` + strings.Repeat("x", mirrorSize) + `"}`
	tests := map[string]struct {
		primary []*rpc.Message
		mirror  rpc.HandlerFunc
		want    Count
	}{
		"the same bytes":     {[]*rpc.Message{result(`{"a":1}`)}, gives(result(`{"a":1}`)), Count{Equal: 1}},
		"another spelling":   {[]*rpc.Message{result(`{"a":1,"b":[true,null,"é"]}`)}, gives(result(`{ "b":[true,null,"\u00e9"], "a":1.0 }`)), Count{Equal: 1}},
		"another _meta":      {[]*rpc.Message{result(`{"a":[{"_meta":{"x":1},"b":2}],"_meta":{}}`)}, gives(result(`{"a":[{"b":2}]}`)), Count{Equal: 1}},
		"notifications":      {[]*rpc.Message{progress, result(`{}`)}, gives(progress, progress, result(`{}`)), Count{Equal: 1}},
		"another value":      {[]*rpc.Message{result(`{"a":1}`)}, gives(result(`{"a":2}`)), Count{Different: 1}},
		"another type":       {[]*rpc.Message{result(`{"a":1}`)}, gives(result(`{"a":"1"}`)), Count{Different: 1}},
		"another order":      {[]*rpc.Message{result(`{"a":[1,2]}`)}, gives(result(`{"a":[2,1]}`)), Count{Different: 1}},
		"a member more":      {[]*rpc.Message{result(`{"a":1}`)}, gives(result(`{"a":1,"b":null}`)), Count{Different: 1}},
		"an element less":    {[]*rpc.Message{result(`{"a":[1]}`)}, gives(result(`{"a":[]}`)), Count{Different: 1}},
		"a list for one":     {[]*rpc.Message{result(`{"a":[1]}`)}, gives(result(`{"a":{"0":1}}`)), Count{Different: 1}},
		"names twice":        {[]*rpc.Message{result(`{"a":{"b":1,"b":1}}`)}, gives(result(`{"a":{"b":1}}`)), Count{Different: 1}},
		"errors of one code": {[]*rpc.Message{failure(-5, "a")}, gives(failure(-5, "b")), Count{Equal: 1}},
		"errors of two":      {[]*rpc.Message{failure(-5, "a")}, gives(failure(-6, "a")), Count{Different: 1}},
		"an error for one":   {[]*rpc.Message{result(`{}`)}, gives(failure(-5, "a")), Count{Different: 1}},
		"a question":         {[]*rpc.Message{result(`{}`)}, gives(question, result(`{}`)), Count{Failed: 1}},
		"input required":     {[]*rpc.Message{result(`{}`)}, gives(result(`{"resultType":"input_required"}`)), Count{Failed: 1}},
		"no answer":          {[]*rpc.Message{result(`{}`)}, gives(), Count{Failed: 1}},
		"no call": {[]*rpc.Message{result(`{}`)}, func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return nil, errors.New("down")
		}, Count{Failed: 1}},
		"a panic": {[]*rpc.Message{result(`{}`)}, func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			panic("a defect")
		}, Count{Failed: 1}},
		"a call that is not copied": {[]*rpc.Message{result(`{}`)}, func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return nil, ErrNotMirrored
		}, Count{Dropped: 1}},
		"a call without an answer": {[]*rpc.Message{progress}, gives(result(`{}`)), Count{Dropped: 1}},
		"a large answer":           {[]*rpc.Message{result(large)}, gives(result(large)), Count{Dropped: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMirrors(t)
				primary := &script{messages: tt.primary}
				drain(m.Follow(t.Context(), "next", callOf(mcp.ToolsCall, "a__b", "b", "{}"), rpc.NewReply(primary), tt.mirror))
				synctest.Wait()
				tt.want.Upstream = "next"
				if diff := cmp.Diff([]Count{tt.want}, m.Counts()); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestQuestionsOfAMirrorAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirrors(t)
		mirror := &script{messages: []*rpc.Message{rpc.NewRequest(rpc.NumberID(1), mcp.ElicitationCreate, []byte(`{}`)), result(`{}`)}}
		var got *rpc.Call
		c := callOf(mcp.ToolsCall, "a__b", "b", "{}")
		c.Client = rpc.Client{Session: "s", LogLevel: "debug", Capabilities: []byte(`{"elicitation":{}}`)}
		c.Record = &rpc.Record{}
		c.Message.SetMeta(mcp.MetaProgress, []byte(`7`))
		c.Message = c.Message.Clone()
		drain(m.Follow(t.Context(), "next", c, rpc.Respond(result(`{}`)), func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			got = c
			return rpc.NewReply(mirror), nil
		}))
		synctest.Wait()
		if mirror.answers.Load() != 1 {
			t.Error("the question was not refused")
		}
		if _, wanted := got.Message.Meta(mcp.MetaProgress); wanted || got.Client.Session+got.Client.LogLevel != "" || string(got.Client.Capabilities) != "{}" || got.Record == c.Record {
			t.Errorf("the copy is made for %+v", got.Client)
		}
	})
}

// What a mirror does, or does not do, is nothing to the caller.
func TestAMirrorHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirrors(t)
		began := time.Now()
		hangs := func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		const calls = mirrorSlot + 10
		for range calls {
			drain(m.Follow(t.Context(), "next", callOf(mcp.ToolsCall, "a__b", "b", "{}"), rpc.Respond(result(`{}`)), hangs))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the callers waited for %v", took)
		}
		time.Sleep(mirrorTime + time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]Count{{Upstream: "next", Failed: mirrorSlot, Dropped: calls - mirrorSlot}}, m.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		drain(m.Follow(t.Context(), "next", callOf(mcp.ToolsCall, "a__b", "b", "{}"), rpc.Respond(result(`{}`)), gives(result(`{}`))))
		synctest.Wait()
		if m.Counts()[0].Equal != 1 {
			t.Error("the places were not given back")
		}
	})
}

func TestACallThatTakesLongIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirrors(t)
		primary := &script{messages: []*rpc.Message{result(`{}`)}, wait: 2 * mirrorTime}
		drain(m.Follow(t.Context(), "next", callOf(mcp.ToolsCall, "a__b", "b", "{}"), rpc.NewReply(primary), gives(result(`{}`))))
		if diff := cmp.Diff([]Count{{Upstream: "next", Dropped: 1}}, m.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

func TestCopiesEndWithTheMirrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirrors(t)
		hangs := func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		c := callOf(mcp.ToolsCall, "a__b", "b", "{}")
		drain(m.Follow(t.Context(), "next", c, rpc.Respond(result(`{}`)), hangs))
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		drain(m.Follow(t.Context(), "next", c, rpc.Respond(result(`{}`)), gives(result(`{}`))))
		if diff := cmp.Diff([]Count{{Upstream: "next", Failed: 1, Dropped: 1}}, m.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		stuck := newMirrors(t)
		release := make(chan struct{})
		stuck.Follow(t.Context(), "x", c, rpc.Respond(result(`{}`)), func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			<-release
			return nil, errors.New("at last")
		})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("enough"))
		defer cancel()
		if err := stuck.Close(ctx); err == nil || err.Error() != "enough" {
			t.Errorf("close: %v", err)
		}
		close(release)
	})
}

func TestALongCallIsNotCopied(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	c := callOf(mcp.ToolsCall, "a__b", "b", `"`+strings.Repeat("x", mirrorSize)+`"`)
	reply := rpc.Respond(result(`{}`))
	if m.Follow(t.Context(), "next", c, reply, nil) != reply || m.Counts()[0].Dropped != 1 {
		t.Error("it is")
	}
}
