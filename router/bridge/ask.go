package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Names of what goes to and fro in a call of several rounds (MCP 2026-07-28, Multi
// Round-Trip Requests).
const (
	inputRequired  = "input_required"
	inputRequests  = "inputRequests"
	inputResponses = "inputResponses"
	requestState   = "requestState"
)

const (
	askAgainFirst = 100 * time.Millisecond // before a call is repeated that needs no answers
	askAgainLast  = 2 * time.Second
)

// errClosed is what a waiting Next returns when its reply is closed.
var errClosed = errors.New("the call was closed")

// ask serves a legacy client's call. A legacy client has no business with members
// that carry a modern server's own state.
func (b *Bridge) ask(ctx context.Context, c *rpc.Call, next rpc.Handler) (*rpc.Reply, error) {
	c = withoutInput(c)
	reply, err := next.Handle(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case !crosses(c, reply) && lags(c, reply):
		return wrap(reply, &older{reply, c}), nil
	case !crosses(c, reply):
		return reply, nil
	}
	return wrap(reply, &asking{bridge: b, ctx: ctx, next: next, call: c, reply: reply, closed: make(chan struct{})}), nil
}

// withoutInput returns the call without input for a server, if the client sent any.
func withoutInput(c *rpc.Call) *rpc.Call {
	_, responses := c.Message.Get(inputResponses)
	_, state := c.Message.Get(requestState)
	if !responses && !state {
		return c
	}
	out := *c
	out.Message = c.Message.Fork()
	out.Message.Drop(inputResponses)
	out.Message.Drop(requestState)
	return &out
}

// asking is the reply to a legacy client's call of a modern server. Where the server
// answers that it needs input, the client is asked, and the call is made again with
// what it answered.
type asking struct {
	bridge *Bridge
	ctx    context.Context // the call's
	next   rpc.Handler
	call   *rpc.Call
	closed chan struct{}

	// Used by Next only.
	rounds   int
	pause    time.Duration
	until    time.Time // when the client's time is over; zero before the first round
	progress float64
	told     bool // whether there was any progress
	over     bool

	mu    sync.Mutex
	reply *rpc.Reply // of the round that runs or ran last
	round *round     // what the server waits for; nil while it works
	asked uint64     // id of the last question
	done  bool       // the reply is closed
}

var _ rpc.Source = (*asking)(nil)

// Next implements [rpc.Source].
func (a *asking) Next() (*rpc.Message, error) {
	for !a.over {
		reply, r := a.now()
		if r != nil {
			m, err := a.advance(r)
			if m != nil || err != nil {
				return m, err
			}
			continue
		}
		m, err := reply.Next()
		switch {
		case err != nil:
			return nil, err
		case m.IsRequest():
			_ = reply.Answer(refusal(m.ID)) // modern servers do not ask this way
		case m.Method == mcp.Progress && !a.advances(m):
		case !m.IsResponse():
			return m, nil
		case needsInput(m):
			if err := a.begin(m); err != nil {
				return a.end(failed(a.call, m, err.Error()))
			}
		default:
			m = toLegacy(a.call, m)
			if lags(a.call, reply) {
				m = toOlder(a.call, m.Clone()) // what was changed can change again
			}
			return a.end(m)
		}
	}
	return nil, io.EOF
}

func (a *asking) end(m *rpc.Message) (*rpc.Message, error) {
	a.over = true
	return m, nil
}

func (a *asking) now() (*rpc.Reply, *round) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reply, a.round
}

// advances reports whether a notification tells of more progress than the last one:
// over several rounds a server may begin anew (MCP 2025-11-25, Progress).
func (a *asking) advances(m *rpc.Message) bool {
	text, _ := m.Get("progress")
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || a.told && n <= a.progress {
		return false
	}
	a.told, a.progress = true, n
	return true
}

// needsInput reports whether a response says that input is required.
func needsInput(m *rpc.Message) bool {
	kind, _ := m.Text("resultType")
	return kind == inputRequired
}

// begin prepares the questions of a round. The error says what the server did wrong.
func (a *asking) begin(m *rpc.Message) error {
	if a.until.IsZero() {
		a.until = time.Now().Add(a.bridge.cfg.Patience)
	}
	r, err := newRound(a.call.Client, m.Clone(), &a.asked)
	if err != nil {
		return err
	}
	if len(r.unasked) > 0 || len(r.answers) > 0 {
		a.pause = 0
		a.rounds++
	} else {
		a.pause = min(max(2*a.pause, askAgainFirst), askAgainLast)
	}
	if a.rounds > a.bridge.cfg.Rounds {
		return errors.New("it asked for input more than " + strconv.Itoa(a.bridge.cfg.Rounds) + " times")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.round = r
	return nil
}

// advance returns the next question of a round, or waits for the answers and makes
// the call again.
func (a *asking) advance(r *round) (*rpc.Message, error) {
	if len(r.unasked) > 0 {
		q := r.unasked[0]
		r.unasked = r.unasked[1:]
		return q, nil
	}
	if err := a.wait(r); err != nil {
		return nil, err
	}
	a.mu.Lock()
	refused, answers := r.refused, slices.Clone(r.answers)
	a.mu.Unlock()
	if refused != nil {
		return a.end(withheld(a.call, refused))
	}
	return nil, a.again(r.state, answers)
}

// wait returns when all questions are answered, or one was refused, or, where none
// was asked, when it is time to try again.
func (a *asking) wait(r *round) error {
	left := time.Until(a.until)
	if left <= 0 {
		return a.late()
	}
	var ready <-chan struct{} = r.settled
	if a.pause > 0 {
		left, ready = min(left, a.pause), nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-timer.C:
		if a.pause > 0 {
			return nil
		}
		return a.late()
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	case <-a.closed:
		return errClosed
	}
}

func (a *asking) late() error {
	return rpc.Errorf(rpc.Cancelled, "upstream %q did not get what it asked for within %v", a.call.Target.Upstream, a.bridge.cfg.Patience)
}

// again makes the call once more, with the answers and the server's own state.
func (a *asking) again(state json.RawMessage, answers []answer) error {
	m := a.call.Message.Fork()
	if len(answers) > 0 {
		m.Set(inputResponses, object(answers))
	}
	if state != nil {
		m.Set(requestState, state)
	}
	c := *a.call
	c.Message = m
	c.Record.Again("input")
	reply, err := a.next.Handle(a.ctx, &c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	old, done := a.reply, a.done
	a.reply, a.round = reply, nil
	a.mu.Unlock()
	_ = old.Close() // it has ended
	if done {
		_ = reply.Close()
		return errClosed
	}
	return nil
}

// Answer implements [rpc.Source].
func (a *asking) Answer(m *rpc.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.round == nil || !a.round.take(m) {
		return rpc.ErrNoQuestion
	}
	return nil
}

// Close implements [rpc.Source].
func (a *asking) Close() error {
	close(a.closed)
	a.mu.Lock()
	reply := a.reply
	a.done = true
	a.mu.Unlock()
	return reply.Close()
}

// withheld ends a call whose client refused what the server cannot do without.
func withheld(c *rpc.Call, refused *rpc.WireError) *rpc.Message {
	text := "The client did not provide what the server asked for: " + rpc.Excerpt(refused.Message)
	if c.Method.Name != mcp.ToolsCall {
		return rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeInternal, Message: text})
	}
	return toolFailure(c.Message.ID, text, "")
}

// toolFailure is the result of a tool that failed, with further members.
func toolFailure(id rpc.ID, text, more string) *rpc.Message {
	out := rpc.AppendString([]byte(`{"content":[{"type":"text","text":`), text)
	return rpc.NewResult(id, append(append(out, `}],"isError":true`...), more+"}"...))
}
