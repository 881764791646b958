package sampling

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Invoke calls a model on behalf of a call that runs, for its principal. The params are those of the inference dialect's invoke.
type Invoke func(ctx context.Context, on *rpc.Call, params json.RawMessage) (*rpc.Reply, error)

// Options is how questions are answered.
type Options struct {
	Model     string // that answers, where no hint leads to another one
	MaxTokens int    // of one answer, at most
	Rounds    int    // answers in one call, at most
	// Choose returns the model that a hint of a server's leads to; empty if it leads to none.
	Choose func(hint string) string
	Invoke Invoke
	Log    *slog.Logger
}

// Sampler answers the questions of one upstream. It may be used by many goroutines at once.
type Sampler struct{ Options }

// New returns a sampler.
func New(o Options) *Sampler { return &Sampler{o} }

// Before is the middleware before the upstream: it answers what the upstream asks a model, of calls whose client cannot.
func (s *Sampler) Before(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !c.Message.IsRequest() || mcp.AskingOf(c.Client.Capabilities).Sampling {
			return next.Handle(ctx, c)
		}
		reply, err := next.Handle(ctx, c)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		out := rpc.NewReply(&sampled{Reply: reply, sampler: s, call: c, ctx: ctx, cancel: cancel})
		out.Header, out.Revision = reply.Header, reply.Revision
		return out, nil
	})
}

// sampled is a reply whose questions for a model are answered here.
type sampled struct {
	*rpc.Reply
	sampler *Sampler
	call    *rpc.Call
	ctx     context.Context //nolint:containedctx // which governs the answers, ended by Close
	cancel  context.CancelCauseFunc
	rounds  int // used by the goroutine that pulls

	mu   sync.Mutex
	open map[string]context.CancelFunc // by the key of the question's id
	work sync.WaitGroup
}

// Next implements [rpc.Source]. Answers are made beside it, so that progress goes on being relayed.
func (s *sampled) Next() (*rpc.Message, error) {
	for {
		m, err := s.Reply.Next()
		switch {
		case err != nil:
			return nil, err
		case m.IsRequest() && m.Method == mcp.SamplingCreate:
			s.take(m.Clone())
		case m.Method == mcp.Cancelled && s.recalled(m):
		default:
			return m, nil
		}
	}
}

// Close implements [rpc.Source]. Nothing works for a call that has ended: what that is made of may be used again.
func (s *sampled) Close() error {
	defer s.work.Wait()
	s.cancel(rpc.Errorf(rpc.Cancelled, "the call that asked for the model has ended"))
	return s.Reply.Close()
}

// take begins to answer a question.
func (s *sampled) take(q *rpc.Message) {
	if s.rounds++; s.rounds > s.sampler.Rounds {
		s.answer(refuse(q.ID, mcp.CodeInvalidRequest, "this call has asked for a model too often"))
		return
	}
	if nested(s.ctx) {
		s.answer(refuse(q.ID, mcp.CodeInvalidRequest, "a model that serves sampling is not given any itself"))
		return
	}
	ctx, cancel := context.WithCancel(within(s.ctx))
	s.mu.Lock()
	if s.open == nil {
		s.open = map[string]context.CancelFunc{}
	}
	s.open[q.ID.Key()] = cancel
	s.mu.Unlock()
	s.call.Record.Note(rpc.Asked, q.Method, 0)
	s.work.Go(func() {
		defer s.leave(q.ID, cancel)
		answer := s.reply(ctx, q)
		s.call.Record.Note(rpc.Replied, "", 0) // before what follows from the answer
		if ctx.Err() == nil {
			s.answer(answer)
		}
	})
}

// reply makes the answer to a question. Nobody above sees a panic in the goroutine that does.
func (s *sampled) reply(ctx context.Context, q *rpc.Message) (answer *rpc.Message) {
	defer func() {
		if p := recover(); p != nil {
			s.sampler.Log.ErrorContext(ctx, "panic in a call", "upstream", s.call.Target.Upstream, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			answer = refuse(q.ID, mcp.CodeInternal, "internal error")
		}
	}()
	return s.sampler.sample(ctx, s.call, q)
}

// answer sends the upstream what it asked for. One that cannot be told does not wait either.
func (s *sampled) answer(m *rpc.Message) {
	if err := s.Reply.Answer(m); err != nil {
		s.sampler.Log.DebugContext(s.ctx, "sampling: the upstream takes no answer", "upstream", s.call.Target.Upstream, "error", err.Error())
	}
}

// leave forgets a question that is answered.
func (s *sampled) leave(id rpc.ID, cancel context.CancelFunc) {
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id.Key())
}

// recalled ends the work on a question that its server takes back. It reports whether it was one of these.
func (s *sampled) recalled(m *rpc.Message) bool {
	id, ok := mcp.CancelledID(m)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel, ok := s.open[id.Key()]
	if ok {
		cancel()
	}
	return ok
}

// inside marks a context in which a model works for a server's question. A model can be a tool of a server that asks for models: that
// would have no end.
type inside struct{}

func within(ctx context.Context) context.Context { return context.WithValue(ctx, inside{}, true) }

func nested(ctx context.Context) bool { return ctx.Value(inside{}) != nil }
