package session

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxQuestions bounds the questions of one call that wait for an answer.
const maxQuestions = 32

// Flight is a call of a session from its arrival to its answer.
type Flight struct {
	session   *Session
	key       string
	cancel    context.CancelCauseFunc
	id        rpc.ID
	questions []string // ids of those that were asked, guarded by the session
}

var _ rpc.Flight = (*Flight)(nil)

// question is a server's request that the client has been asked.
type question struct {
	reply *rpc.Reply
	id    rpc.ID // what the server calls it
}

// Begin registers a call of the session's owner under the client's id for it, as
// [Session.Prepare] and [Flight.Take] do. Whoever begins a flight must finish it.
func (s *Session) Begin(id rpc.ID, cancel context.CancelCauseFunc) (*Flight, error) {
	f := s.Prepare(id, cancel)
	if err := f.Take(); err != nil {
		return nil, err
	}
	return f, nil
}

// Prepare makes a flight for a call of which it is not known yet whether it is the
// owner's. It keeps no place in the session until it is taken.
func (s *Session) Prepare(id rpc.ID, cancel context.CancelCauseFunc) *Flight {
	return &Flight{session: s, key: id.Key(), cancel: cancel, id: id}
}

// Take implements [rpc.Flight]: it registers the call. The error is InvalidRequest if a
// call with this id is in flight already (JSON-RPC ids are unique in a session), Busy
// if there are too many, and SessionUnknown if the session has ended. What has no id takes
// no place.
func (f *Flight) Take() error {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errUnknown()
	}
	if f.id.IsZero() {
		s.use(time.Now())
		return nil // nobody can name what has no id
	}
	if s.flights == nil {
		s.flights = make(map[string]*Flight)
	}
	if _, ok := s.flights[f.key]; ok {
		return rpc.Errorf(rpc.InvalidRequest, "a request with id %s is in flight already", rpc.Excerpt(f.id.String()))
	}
	if limit := s.registry.cfg().InFlight; len(s.flights) >= limit {
		return rpc.Errorf(rpc.Busy, "%d calls of this session are in flight already", limit)
	}
	s.flights[f.key] = f
	return nil
}

// Finish forgets the call and its questions. Of a flight that was not taken there is
// nothing to forget.
func (f *Flight) Finish() {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] != f {
		return
	}
	s.use(time.Now())
	delete(s.flights, f.key)
	for _, id := range f.questions {
		delete(s.questions, id)
	}
}

// Cancel implements [rpc.Flight].
func (f *Flight) Cancel(id rpc.ID) bool { return id.Key() != f.key && f.session.stop(id) }

// Ask returns a question of the call's server with an id of the gateway's, under
// which the client's answer will find its way to reply. It returns false if too many
// questions wait for an answer already.
func (f *Flight) Ask(reply *rpc.Reply, q *rpc.Message) (*rpc.Message, bool) {
	id, ok := f.register(&question{reply, q.ID})
	if !ok {
		return nil, false
	}
	out := q.Fork()
	out.SetID(id)
	return out, true
}

func (f *Flight) register(q *question) (rpc.ID, bool) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	f.questions = slices.DeleteFunc(f.questions, func(id string) bool { return s.questions[id] == nil })
	if len(f.questions) >= maxQuestions {
		return rpc.ID{}, false
	}
	if s.questions == nil {
		s.questions = make(map[string]*question)
	}
	s.asked++
	id := rpc.NumberID(s.asked)
	s.questions[id.Loose()] = q
	f.questions = append(f.questions, id.Loose())
	return id, true
}

// Recall forgets a question of the call's server, named as the server does. It returns
// the id that the client knows, and false if the question is not open.
func (f *Flight) Recall(own rpc.ID) (rpc.ID, bool) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range f.questions {
		if q := s.questions[id]; q != nil && q.id.Key() == own.Key() {
			delete(s.questions, id)
			known, err := rpc.ParseID([]byte(id))
			return known, err == nil
		}
	}
	return rpc.ID{}, false
}

// Withdraw forgets the call's questions and returns those that the client has not
// answered, by the ids that it knows.
func (f *Flight) Withdraw() []rpc.ID {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []rpc.ID
	for _, id := range f.questions {
		if s.questions[id] == nil {
			continue
		}
		delete(s.questions, id)
		if known, err := rpc.ParseID([]byte(id)); err == nil { // it is a number of the session's
			open = append(open, known)
		}
	}
	f.questions = nil
	return open
}

// answer passes a client's response on to who asked. Late and unknown ones are
// dropped, as the races of cancellation make them normal.
func (s *Session) answer(m *rpc.Message) {
	key := m.ID.Loose()
	s.mu.Lock()
	q := s.questions[key]
	delete(s.questions, key)
	s.mu.Unlock()
	if q == nil {
		s.registry.log.Debug("answer to no question", slog.String("request_id", rpc.Excerpt(key)))
		return
	}
	out := m.Fork()
	out.SetID(q.id)
	if err := q.reply.Answer(out.Clone()); err != nil { // a copy: m's bytes are gone once its POST is answered
		s.registry.log.Debug("answer was not taken", slog.String("request_id", rpc.Excerpt(key)), slog.Any("error", err))
	}
}

// cancelled stops the call that a notifications/cancelled names. Only calls of the
// session itself can be named; initialize is none of them.
func (s *Session) cancelled(m *rpc.Message) {
	if id, ok := mcp.CancelledID(m); ok {
		s.stop(id)
	}
}

// stop cancels a call in flight. It reports whether there is one.
func (s *Session) stop(id rpc.ID) bool {
	s.mu.Lock()
	f := s.flights[id.Key()]
	s.mu.Unlock()
	if f != nil {
		f.cancel(rpc.Errorf(rpc.Cancelled, "the client cancelled the request"))
	}
	return f != nil
}
