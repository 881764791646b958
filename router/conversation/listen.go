package conversation

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// listener remembers what is answered while the client reads it. A turn is one that came to its end: what broke off was
// used, and that is all.
type listener struct {
	*Keeper
	ctx    context.Context //nolint:containedctx // of the call, which may have ended when its turn is noted
	call   *rpc.Call
	reply  *rpc.Reply
	asked  []byte
	after  uint64 // the turn that the call goes on from
	answer infer.Answer
	large  bool // the answer is more than can be kept
	noted  sync.Once
}

// Next passes on what comes. A turn is noted before its response is seen, so that whoever has that can go on from it.
func (l *listener) Next() (*rpc.Message, error) {
	m, err := l.reply.Next()
	switch {
	case err != nil:
	case m.Method == infer.Chunk:
		l.hear(m.Params)
	case m.IsResponse() && m.Err == nil:
		l.noted.Do(func() { l.note(l.turn(m), l.bounds()) })
	}
	return m, err
}

func (l *listener) Answer(m *rpc.Message) error { return l.reply.Answer(m) }

// Close ends the call. What it used by then counts, however it ended.
func (l *listener) Close() error {
	err := l.reply.Close()
	l.spend()
	return err
}

// spend notes what was used where there is no turn to be noted.
func (l *listener) spend() { l.noted.Do(func() { l.note(state.Turn{}, state.ConversationBounds{}) }) }

// hear takes a chunk.
func (l *listener) hear(chunk json.RawMessage) {
	if l.large {
		return
	}
	if err := l.answer.Add(chunk); err != nil || l.answer.Size() > l.config.Load().Bytes {
		l.large, l.answer = true, infer.Answer{}
	}
}

// turn makes a turn of the response.
func (l *listener) turn(m *rpc.Message) state.Turn {
	if l.large {
		return state.Turn{Data: []byte{}}
	}
	whole := l.answer.Response(m, l.call.Target.Canonical)
	output, ok := whole.Get("output")
	if !ok {
		output = json.RawMessage(`""`)
	}
	data := append(append(l.asked, `,{"role":"assistant","content":`...), output...)
	if calls, ok := whole.Get("tool_calls"); ok && string(calls) != "null" {
		data = append(append(data, `,"tool_calls":`...), calls...)
	}
	out := state.Turn{Data: append(data, '}'), After: l.after}
	if made, ok := whole.Get(contextMember); ok && string(made) != "null" {
		out.Context = contextOf(l.call, made)
	}
	return out
}

// bounds are those of what is remembered.
func (l *listener) bounds() state.ConversationBounds {
	cfg := l.config.Load()
	if l.large {
		return state.ConversationBounds{Bytes: cfg.Bytes} // what came before makes no sense without it
	}
	return state.ConversationBounds{Turns: cfg.Turns, Bytes: cfg.Bytes}
}

// note tells the engine. That it could not be told is no failure of the call.
func (l *listener) note(t state.Turn, bounds state.ConversationBounds) {
	used := l.call.Record.Usage()
	t.Used = state.Tokens(used)
	if t.Data == nil && used == (rpc.Usage{}) {
		return
	}
	if err := l.store.Add(l.ctx, l.call.Client.Session, l.call.Target.Canonical, t, bounds); err != nil {
		l.log.WarnContext(l.ctx, "a turn of a conversation was not noted", "error", err.Error())
	}
}
