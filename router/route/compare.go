package route

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// answer is how a call ended: with a result or an error. The zero answer is none that could be compared.
type answer struct {
	result json.RawMessage
	err    *rpc.WireError
}

func (a answer) none() bool { return a.result == nil && a.err == nil }

// answerOf keeps what a response says.
func answerOf(m *rpc.Message) answer {
	switch {
	case m.Err != nil:
		e := *m.Err
		return answer{err: &e}
	case m.Size() > mirrorSize:
		return answer{}
	}
	return answer{result: m.AppendResult(make([]byte, 0, m.Size()))}
}

// observed is the reply that a client gets, of which the answer is kept for comparison.
type observed struct {
	*rpc.Reply
	once     sync.Once
	answered chan answer // takes one
}

// Next implements [rpc.Source].
func (o *observed) Next() (*rpc.Message, error) {
	m, err := o.Reply.Next()
	switch {
	case err != nil:
		o.tell(answer{})
	case m.IsResponse():
		o.once.Do(func() { o.answered <- answerOf(m) })
	}
	return m, err
}

// Close implements [rpc.Source].
func (o *observed) Close() error {
	o.tell(answer{})
	return o.Reply.Close()
}

func (o *observed) tell(a answer) { o.once.Do(func() { o.answered <- a }) }

// compare makes the copy of a call and compares what comes of both.
func (o *observed) compare(ctx context.Context, dial rpc.HandlerFunc, c *rpc.Call) outcome {
	mirrored, err := ask(ctx, dial, c)
	switch {
	case errors.Is(err, ErrNotMirrored):
		return dropped
	case err != nil:
		return failed
	}
	select {
	case theirs := <-o.answered:
		return judge(mirrored, theirs)
	case <-ctx.Done():
		return dropped
	}
}

// errAsked is why a copy fails whose upstream cannot do without asking.
var errAsked = errors.New("the mirror asked something")

// ask makes the copy of a call and waits for its answer. Questions are refused.
func ask(ctx context.Context, dial rpc.HandlerFunc, c *rpc.Call) (answer, error) {
	reply, err := dial(ctx, c)
	if err != nil {
		return answer{}, err
	}
	defer reply.Close() //nolint:errcheck // nobody is there to be told
	asked := false
	for {
		m, err := reply.Next()
		switch {
		case err != nil:
			return answer{}, err
		case m.IsRequest():
			asked = true
			_ = reply.Answer(rpc.NewError(m.ID, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "nobody can be asked: the call is a copy"}))
		case m.IsResponse() && (asked || wantsInput(m)):
			return answer{}, errAsked
		case m.IsResponse():
			return answerOf(m), nil
		}
	}
}

// wantsInput reports whether a response is a question (MCP 2026-07-28, Multi Round-Trip Requests).
func wantsInput(m *rpc.Message) bool {
	kind, _ := m.Text("resultType")
	return kind == "input_required"
}

// judge compares two answers: results by what they say, whatever their spelling and their _meta, and errors by their codes.
func judge(a, b answer) outcome {
	switch {
	case a.none() || b.none():
		return dropped
	case a.err != nil && b.err != nil && a.err.Code == b.err.Code:
		return equal
	case a.err != nil || b.err != nil:
		return different
	case bytes.Equal(a.result, b.result):
		return equal
	}
	x, err := rpc.Decode(a.result)
	y, err2 := rpc.Decode(b.result)
	if err == nil && err2 == nil && same(x, y) {
		return equal
	}
	return different
}

// same reports whether two values mean the same, but for what stands in _meta.
func same(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && sameMembers(x, y)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i]) {
				return false
			}
		}
		return true
	case int64:
		if y, ok := b.(float64); ok {
			return float64(x) == y
		}
	case float64:
		if y, ok := b.(int64); ok {
			return x == float64(y)
		}
	}
	return a == b
}

func sameMembers(x, y map[string]any) bool {
	delete(x, "_meta")
	delete(y, "_meta")
	if len(x) != len(y) {
		return false
	}
	for name, value := range x {
		other, ok := y[name]
		if !ok || !same(value, other) {
			return false
		}
	}
	return true
}
