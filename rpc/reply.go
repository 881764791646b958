package rpc

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// Source is where a [Reply] gets its messages. Next and Close may be called at the
// same time, as may Answer; Next is called by one goroutine at a time.
type Source interface {
	// Next returns the next message, or io.EOF after the last one. The message is
	// valid until the following Next or Close.
	Next() (*Message, error)
	// Answer carries the client's answer to a question that Next returned.
	Answer(*Message) error
	// Close ends the call and wakes a waiting Next. It is called once.
	Close() error
}

// Pusher is a source that can hand on notifications as they come, instead of being asked for each of them: a stream of a great many then
// costs less of each.
type Pusher interface {
	// Push waits for notifications and gives them away until no more are wanted, or something comes that is left to Next, such as the
	// response or an error. It stands for as many calls of Next. It reports whether it is of use to call it again, after a further Next.
	Push(to Taker) (again bool)
}

// Taker takes what is pushed. It is no function because what it would have to be bound to is at hand, and a function is one thing more to
// fetch for each message.
type Taker interface {
	// Take takes a message, which is good until it returns, and reports whether more are wanted now. It must not block: nobody can end the
	// call while it does.
	Take(m *Message) (more bool)
}

// Reply is what comes back for a call: notifications and questions, then one
// response, then io.EOF. The reply to a notification is empty, and a stream's may
// have no response. Whoever got a Reply must close it.
type Reply struct {
	from    Source      // who is asked for messages: the source, or who has taken its place; Next's alone
	record  *Record     // who is told what the client gets; nil if nobody is
	watcher Watcher     // is told how it goes; nil if nobody counts
	begun   atomic.Bool // the watcher has been told of the first message
	closed  atomic.Bool
	ticket  uint64

	source Source
	ended  func() // nil if nobody is to be told of the end

	Header   http.Header // HTTP header fields for the answer, such as limits; may be nil
	Revision Revision    // what the upstream spoke; empty if the gateway answered in the client's own
}

// NewReply returns a reply that pulls from s.
func NewReply(s Source) *Reply { return &Reply{source: s, from: s} }

// Respond returns a reply of one message. With nil it is empty.
func Respond(m *Message) *Reply { return NewReply(&single{message: m}) }

// IsEnd reports whether an error of [Reply.Next] is the end of the reply: [io.EOF] itself. An error that the end of a
// connection has caused, which has io.EOF in its chain, is none.
func IsEnd(err error) bool { return err == io.EOF } //nolint:errorlint // as it says

// Next returns the next message: a notification, a question (a request of the
// upstream's own) or the response. After the response, or where there is none, it
// returns io.EOF. The message is valid until the following Next or Close;
// [Message.Clone] keeps it longer. One goroutine at a time may call Next.
func (r *Reply) Next() (*Message, error) {
	if r.record == nil && r.watcher == nil {
		return r.from.Next()
	}
	return r.observed()
}

func (r *Reply) observed() (m *Message, err error) {
	if r.record != nil {
		err = errPanicked
		defer func() { r.record.saw(m, err) }()
	}
	m, err = r.from.Next()
	if r.watcher != nil && !r.begun.Load() {
		r.began(m, err)
	}
	return m, err
}

// PushTo has the notifications that follow the first one handed on, as [Pusher] says, where the source can do so; else it returns false at
// once. It is for the goroutine that calls Next.
func (r *Reply) PushTo(to Taker) (again bool) {
	returned := false
	defer func() {
		if !returned && r.record != nil {
			r.record.saw(nil, errPanicked)
		}
	}()
	switch from := r.from.(type) {
	case *Reply:
		again = from.PushTo(to)
	case Pusher:
		again = from.Push(to)
	}
	returned = true
	return again
}

// Follow has messages come from another reply directly. A source that has nothing more to do than to pass them on calls it while it is
// asked for one, of the reply that it is the source of, once the other one has given its first message. It goes on to be the one that
// is closed, and that gets answers.
func (r *Reply) Follow(other *Reply) {
	if r.from = other; other.record == nil {
		r.from = other.from
	}
}

// Answer passes the client's answer to a question on to who asked. It may be called
// while another goroutine waits in Next. The message's id is the question's.
func (r *Reply) Answer(m *Message) error {
	if r.record == nil {
		return r.source.Answer(m)
	}
	at := r.record.time() // what follows from the answer may be noted first
	err := r.source.Answer(m)
	if err == nil {
		r.record.replied(at)
	}
	return err
}

// Close ends the call, which cancels it if it still runs, and wakes a waiting
// Next. It may be called at any time, by any goroutine, more than once.
func (r *Reply) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	if r.record != nil {
		defer r.record.end(nil) // also where the source panics
	}
	if r.watcher != nil {
		defer r.unwatch() // also where the source panics
	}
	if r.ended != nil {
		defer r.ended() // likewise
	}
	return r.source.Close()
}

// OnClose has f called, once, when the reply has been closed. It is set before anybody else has the reply, by one
// who counts replies; f must not block.
func (r *Reply) OnClose(f func()) { r.ended = f }

// ErrNoQuestion is returned for an answer to what was never asked.
var ErrNoQuestion = errors.New("no such question")

// single is a source of at most one message.
type single struct{ message *Message }

func (s *single) Next() (*Message, error) {
	m := s.message
	s.message = nil
	if m == nil {
		return nil, io.EOF
	}
	return m, nil
}

func (*single) Answer(*Message) error { return ErrNoQuestion }
func (*single) Close() error          { return nil }
