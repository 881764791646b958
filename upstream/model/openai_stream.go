package model

import (
	"bytes"
	"io"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// openAIStream is an answer that comes as an event stream: one event for each token or a few of them, and the event
// [DONE] behind the last.
type openAIStream struct {
	// What each event needs lies together.
	to     *run // what is pushed goes there; nil while nothing is
	silent int  // bytes in a row that gave nothing
	last   likeness

	p      *peer
	resp   *upstream.Response
	events *frame.SSEReader
	ready  [][]byte // chunks of an event that holds several
	ended  []byte   // why the first text ended; nil while it has not
	kept   []member
}

var _ pusher = (*openAIStream)(nil)

// next implements [parts].
func (s *openAIStream) next(t *tally) ([]byte, error) {
	for len(s.ready) == 0 {
		ev, err := s.events.Next()
		switch {
		case rpc.IsEnd(err) && s.ended == nil:
			return nil, s.p.fault.broke(io.ErrUnexpectedEOF, "ended its stream in the middle of the answer")
		case err == frame.ErrTooLong: //nolint:errorlint // it is returned itself
			return nil, s.p.fault.failed(err, "sent an event that exceeds the size limit")
		case err != nil:
			return nil, err // its end too, which some servers do not announce
		}
		if chunk, ok := s.like(ev.Data, t); ok {
			return chunk, nil
		}
		if string(bytes.TrimSpace(ev.Data)) == "[DONE]" {
			return nil, io.EOF
		}
		if len(ev.Data) == 0 {
			continue
		}
		if err := s.take(ev.Data, t); err != nil {
			return nil, err
		}
		if s.silent += len(ev.Data); len(s.ready) == 0 && s.silent > maxEvent {
			return nil, s.p.fault.failed(nil, "sends events that hold nothing of an answer")
		}
	}
	s.silent = 0
	chunk := s.ready[0]
	s.ready = s.ready[1:]
	return chunk, nil
}

// push implements [pusher]: for events that are like the last one.
func (s *openAIStream) push(to *run) (again bool) {
	if len(s.ready) > 0 || !s.events.Between() {
		return true
	}
	s.to = to
	again = s.resp.Push(s)
	s.to = nil
	return again
}

// Take implements [upstream.Taker].
func (s *openAIStream) Take(piece []byte) (took, more bool) {
	event, whole := frame.EventIn(piece)
	if !whole {
		return false, false
	}
	chunk, ok := s.like(event, &s.to.tally)
	if !ok {
		return false, false
	}
	return true, s.to.pass(chunk)
}

// like makes a chunk of an event that is like the last one.
func (s *openAIStream) like(event []byte, t *tally) (chunk []byte, ok bool) {
	chunk, made, ok := s.last.take(event)
	if ok {
		s.silent = 0
		t.piece(made)
	}
	return chunk, ok
}

// take reads an event that is not like the last one.
func (s *openAIStream) take(text []byte, t *tally) error {
	s.last.forget()
	o, err := s.p.object(text)
	if err != nil {
		return err
	}
	s.ready = s.ready[:0]
	if list := given(o, "choices"); list != nil {
		items, err := rpc.Elements(list)
		if err != nil {
			return s.p.fault.malformed(err, "an event")
		}
		var k choice
		for _, item := range items {
			if k, err = s.choose(item, t); err != nil {
				return err
			}
		}
		if len(items) == 1 && len(s.ready) == 1 && k.index == 0 && k.finish == nil && given(o, "usage") == nil {
			s.last.learn(text, &k, s.ready[0])
		}
	}
	s.kept = keep(s.kept, o, answerMembers...)
	s.p.readUsage(o, t)
	return nil
}

// choose makes a chunk of a choice, if there is anything in it.
func (s *openAIStream) choose(text []byte, t *tally) (choice, error) {
	k, err := s.p.readChoice(text)
	if err != nil {
		return k, err
	}
	w := writer{text: []byte{'{'}}
	k.write(&w, "text")
	bare := len(w.names) == 1 && len(k.text) <= len(`""`)
	if k.index != 0 {
		w.number("index", k.index)
		w.optional("finish_reason", k.finish)
		bare = bare && k.finish == nil
	} else if k.finish != nil {
		s.ended = bytes.Clone(k.finish)
	}
	if !bare {
		s.ready = append(s.ready, append(w.text, '}'))
		t.piece(k.made())
	}
	return k, nil
}

// finish implements [parts].
func (s *openAIStream) finish(w *writer) {
	w.optional("finish_reason", s.ended)
	w.members(s.kept)
}

// close implements [parts].
func (s *openAIStream) close(whole bool) {
	if whole {
		_ = s.resp.Finish()
		return
	}
	_ = s.resp.Close()
}
