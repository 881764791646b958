package model

import (
	"encoding/json"
	"io"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// lineMembers have a place of their own, or tell of the line.
var lineMembers = []string{"model", "created_at", "response", "message", "done", "done_reason", "prompt_eval_count", "eval_count"}

// saying is what stands in an answer or in a line of one.
type saying struct {
	whole   rpc.Object
	message rpc.Object      // of a chat
	text    json.RawMessage // nil for nothing
	done    bool
	reason  json.RawMessage
}

// readSaying takes an answer, or a line of one, apart.
func (p *peer) readSaying(o rpc.Object) (saying, error) {
	s := saying{whole: o, text: given(o, "response"), reason: given(o, "done_reason")}
	done, _ := o.Get("done")
	s.done = string(done) == "true"
	if text := given(o, "message"); text != nil {
		var err error
		if s.message, err = rpc.ReadObject(text); err != nil || s.message.Len() > maxMembers {
			return saying{}, p.fault.malformed(err, "a message")
		}
		s.text = given(s.message, "content")
	}
	if s.text != nil && s.text[0] != '"' {
		return saying{}, p.fault.malformed(nil, "a text")
	}
	return s, nil
}

// write writes what the model says under a name that depends on the form of the answer, and what else it says: thoughts,
// calls of tools.
func (s *saying) write(w *writer, output string) {
	text := s.text
	if text == nil {
		text = []byte(`""`)
	}
	w.add(output, text)
	if role := given(s.message, "role"); role != nil && string(role) != `"assistant"` {
		w.add("role", role)
	}
	w.rest(s.message, messageMembers...)
	if thinking := given(s.whole, "thinking"); thinking != nil && !s.done {
		w.add("thinking", thinking)
	}
}

// made is how many bytes the model has written.
func (s *saying) made() int {
	n := max(0, len(s.text)-len(`""`)) + max(0, len(given(s.whole, "thinking"))-len(`""`))
	s.message.Each(func(name string, value json.RawMessage) bool {
		if name != "content" && name != "role" {
			n += len(value)
		}
		return true
	})
	return n
}

// result makes the result of an invocation of an answer that came as a whole.
func (o *ollama) result(answer rpc.Object, v *invocation, t *tally) ([]byte, error) {
	s, err := o.readSaying(answer)
	if err != nil {
		return nil, err
	}
	if !s.done {
		return nil, o.fault.malformed(nil, "an answer without an end")
	}
	t.piece(s.made())
	t.say(answer, "prompt_eval_count", "eval_count")
	w := writer{text: []byte{'{'}}
	w.string("model", v.shown)
	s.write(&w, "output")
	w.optional("finish_reason", s.reason)
	w.add("usage", t.text())
	w.rest(answer, lineMembers...)
	return append(w.text, '}'), nil
}

// ollamaStream is an answer that comes in lines, of which the last says so.
type ollamaStream struct {
	p     *peer
	resp  *upstream.Response
	lines *frame.LineReader
	mute  int // bytes in a row that said nothing
	done  bool
	why   []byte
	kept  []member
}

var _ parts = (*ollamaStream)(nil)

// next implements [parts].
func (l *ollamaStream) next(t *tally) ([]byte, error) {
	for !l.done {
		line, err := l.lines.Next()
		switch {
		case rpc.IsEnd(err):
			return nil, l.p.fault.broke(io.ErrUnexpectedEOF, "ended its stream in the middle of the answer")
		case err == frame.ErrTooLong: //nolint:errorlint // it is returned itself
			return nil, l.p.fault.failed(err, "sent a line that exceeds the size limit")
		case err != nil:
			return nil, err
		}
		chunk, err := l.take(line, t)
		if chunk != nil || err != nil {
			return chunk, err
		}
		if l.mute += len(line); l.mute > maxLine {
			return nil, l.p.fault.failed(nil, "sends lines that hold nothing of an answer")
		}
	}
	return nil, io.EOF
}

// take reads a line.
func (l *ollamaStream) take(line []byte, t *tally) ([]byte, error) {
	o, err := l.p.object(line)
	if err != nil {
		return nil, err
	}
	s, err := l.p.readSaying(o)
	if err != nil {
		return nil, err
	}
	w := writer{text: []byte{'{'}}
	s.write(&w, "text")
	bare := len(w.names) == 1 && len(s.text) <= len(`""`)
	if !bare {
		t.piece(s.made())
		l.mute = 0
	}
	t.say(o, "prompt_eval_count", "eval_count")
	if s.done {
		l.done = true
		l.why = append(l.why, s.reason...)
		l.kept = keep(nil, o, lineMembers...)
	}
	if bare {
		return nil, nil
	}
	return append(w.text, '}'), nil
}

// finish implements [parts].
func (l *ollamaStream) finish(w *writer) {
	w.optional("finish_reason", l.why)
	w.members(l.kept)
}

// close implements [parts].
func (l *ollamaStream) close(whole bool) {
	if whole {
		_ = l.resp.Finish()
		return
	}
	_ = l.resp.Close()
}
