package bridge

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxQuestions bounds the questions of one round.
const maxQuestions = 32

// answer is one member of inputResponses.
type answer struct {
	key   string
	value json.RawMessage
}

// object writes answers as the object they are members of.
func object(answers []answer) json.RawMessage {
	out := []byte{'{'}
	for i, a := range answers {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(rpc.AppendString(out, a.key), ':'), a.value...)
	}
	return append(out, '}')
}

// round is what a modern server waits for before it goes on.
type round struct {
	state   json.RawMessage // requestState; nil if there was none
	unasked []*rpc.Message  // questions that were not returned yet; used by Next only
	settled chan struct{}   // closed when nothing is open any more

	// Guarded by the reply's lock once the round is seen.
	open    map[string]inquiry // by the id of the question
	answers []answer
	refused *rpc.WireError // the client's refusal of what the server cannot do without
}

// inquiry is a question that waits for its answer.
type inquiry struct{ key, method string }

// newRound reads what a server asks for. The message stays in use. The error is
// what the server did wrong. Questions are numbered on from asked.
func newRound(client rpc.Client, m *rpc.Message, asked *uint64) (*round, error) {
	r := &round{settled: make(chan struct{}), open: map[string]inquiry{}}
	state, hasState := m.Get(requestState)
	if hasState {
		r.state = state
	}
	requests, ok := m.Get(inputRequests)
	if !ok {
		if !hasState {
			return nil, errors.New("it needs input and does not say which")
		}
		return r, nil
	}
	o, err := rpc.ReadObject(requests)
	if err != nil || o.Len() > maxQuestions {
		return nil, fmt.Errorf("inputRequests must be an object of at most %d members", maxQuestions)
	}
	o.Each(func(key string, value json.RawMessage) bool {
		*asked++
		err = r.add(client, key, value, rpc.NumberID(*asked))
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	r.settle()
	return r, nil
}

// add takes up one input request: as a question, or as an answer where the client's
// revision has no words for the question.
func (r *round) add(client rpc.Client, key string, value json.RawMessage, id rpc.ID) error {
	request, err := rpc.ReadObject(value)
	if err != nil {
		return errors.New("an input request is not an object")
	}
	method, _ := request.Text("method")
	params, _ := request.Get("params")
	params, askable, err := toLegacyQuestion(client, method, params)
	if err != nil {
		return err
	}
	if !askable {
		r.answers = append(r.answers, answer{key, json.RawMessage(`{"action":"decline"}`)})
		return nil
	}
	r.open[id.Loose()] = inquiry{key, method}
	r.unasked = append(r.unasked, rpc.NewRequest(id, method, params))
	return nil
}

// take records the client's answer to a question and reports whether the question
// was open.
func (r *round) take(m *rpc.Message) bool {
	id := m.ID.Loose()
	q, ok := r.open[id]
	if !ok {
		return false
	}
	delete(r.open, id)
	switch {
	case m.Err == nil && m.Result[0] == '{':
		r.answers = append(r.answers, answer{q.key, m.Result})
	case q.method == mcp.ElicitationCreate:
		r.answers = append(r.answers, answer{q.key, json.RawMessage(`{"action":"cancel"}`)})
	case q.method == mcp.RootsList && m.Err != nil && m.Err.Code == mcp.CodeMethodNotFound:
		r.answers = append(r.answers, answer{q.key, json.RawMessage(`{"roots":[]}`)})
	default:
		r.refuse(m.Err)
	}
	r.settle()
	return true
}

// refuse ends the round: inputResponses have no place for an error.
func (r *round) refuse(e *rpc.WireError) {
	if e == nil {
		e = &rpc.WireError{Message: "its answer is not an object"}
	}
	r.refused = e
	clear(r.open)
}

// settle notes that nothing is open any more, if that is so. A round without any
// question never settles: it is a matter of time.
func (r *round) settle() {
	if len(r.open) == 0 && (len(r.answers) > 0 || r.refused != nil) {
		close(r.settled)
	}
}
