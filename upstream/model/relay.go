package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream"
)

// relay is a gateway that speaks the dialect itself, over HTTP. Ids toward it are ours, everything else of a call and of
// its answer passes as it is.
type relay struct {
	*web
	to  *upstream.Endpoint
	ids atomic.Uint64
}

var _ Backend = (*relay)(nil)

func newRelay(cfg config.ModelBackend, deps BackendDeps) (Backend, error) {
	w, err := newWeb(cfg, deps)
	if err != nil {
		return nil, err
	}
	if w.url.Path == "" || w.url.Path == "/" {
		w.url.Path = infer.Path
	}
	if strings.HasPrefix(w.url.Scheme, "ws") {
		return newSocketRelay(w)
	}
	r := &relay{web: w}
	r.to, err = w.at("")
	return r, err
}

// Handle implements [Backend].
func (b *relay) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	v, err := read(c, &b.cfg)
	if err != nil {
		return nil, err
	}
	id := rpc.NumberID(b.ids.Add(1))
	accept := typeJSON
	if v.stream {
		accept = typeLines + ", " + typeJSON
	}
	r := b.begin(ctx, c, &v)
	resp, err := b.send(r, b.to, accept, v.request(c, id))
	if err != nil {
		return nil, r.fail(err)
	}
	if v.stream && resp.Status == http.StatusOK && mediaType(resp) != typeJSON {
		if err := b.expect(resp, typeLines); err != nil {
			return nil, r.fail(err)
		}
		frames := &httpFrames{resp: resp, lines: frame.NewLineReader(resp.Lent(), maxLine), fault: &b.fault}
		return r.stream(&relayStream{p: &b.peer, id: id, frames: frames}), nil
	}
	p, err := b.answer(resp, id)
	if err != nil {
		return nil, r.fail(err)
	}
	result, err := b.result(p, &v, &r.tally)
	if err != nil {
		return nil, r.fail(err)
	}
	return r.respond(result), nil
}

// request returns the message that asks for an invocation: the client's own, with whatever else is in it.
func (v *invocation) request(c *rpc.Call, id rpc.ID) []byte {
	m := c.Message.Fork()
	m.SetID(id)
	m.Set("model", v.nameText())
	return m.AppendTo(nil)
}

// answer reads an answer that is one message, whatever its status: errors of the dialect are messages too.
func (b *relay) answer(resp *upstream.Response, id rpc.ID) (infer.Part, error) {
	most := int(b.deps.MaxResult)
	if resp.Status != http.StatusOK {
		most = maxComplaint
	} else if err := b.expect(resp, typeJSON); err != nil {
		return infer.Part{}, err
	}
	wait := retryAfter(resp.Header.Get("Retry-After"))
	body, err := resp.ReadAll(nil, most)
	if err != nil && resp.Status == http.StatusOK {
		return infer.Part{}, err
	}
	p, err := infer.ReadPart(body)
	switch {
	case err == nil && p.Err != nil:
		return p, b.fault.said(p.Err)
	case resp.Status != http.StatusOK:
		return p, b.fault.refused(resp.Status, "", wait)
	case err != nil:
		return p, b.fault.malformed(err, "an answer")
	}
	return p, b.mine(p, id)
}

// mine checks that an answer is one to this call.
func (p *peer) mine(answer infer.Part, id rpc.ID) error {
	if answer.ID.Loose() != id.Loose() {
		return p.fault.malformed(errors.New("it has the id "+rpc.Excerpt(answer.ID.Raw())), "an answer to something else")
	}
	return nil
}

// result makes the result of an invocation of that of another gateway.
func (p *peer) result(answer infer.Part, v *invocation, t *tally) ([]byte, error) {
	if answer.Result == nil {
		return nil, p.fault.malformed(nil, "an answer without a result")
	}
	o, err := rpc.ReadObject(answer.Result)
	if err != nil {
		return nil, p.fault.malformed(err, "a result")
	}
	output, _ := o.Get("output")
	t.piece(len(output))
	t.relayed(o)
	w := writer{text: []byte{'{'}}
	o.Each(func(name string, value json.RawMessage) bool {
		switch name {
		case "model":
			value = rpc.AppendString(nil, v.shown)
		case "usage":
			return true
		}
		w.put(name, value)
		return true
	})
	w.put("usage", t.text())
	return append(w.text, '}'), nil
}

// relayed takes what another gateway says of usage: it is as sure of it as that one is.
func (t *tally) relayed(result rpc.Object) {
	usage, err := rpc.ReadObject(given(result, "usage"))
	if err != nil || usage.Len() > maxMembers {
		return
	}
	t.say(usage, "input_tokens", "output_tokens")
	if n, ok := count(usage, "cached_tokens"); ok {
		t.cached(n)
	}
	if guess, _ := usage.Get("estimated"); string(guess) == "true" {
		t.input, t.output = false, false
	}
	t.extra = keep(t.extra[:0], usage, "input_tokens", "output_tokens", "cached_tokens", "estimated")
}

// frames is where the messages of an answer come from.
type frames interface {
	// next returns the next message, valid until the following call.
	next() ([]byte, error)
	// close lets go of where they come from. Unless the answer was read to its end, the gateway there learns of it.
	close(whole bool)
}

// relayStream is an answer in parts by a gateway.
type relayStream struct {
	p      *peer
	id     rpc.ID
	frames frames
	answer []member // of the response
}

var _ parts = (*relayStream)(nil)

// next implements [parts].
func (s *relayStream) next(t *tally) ([]byte, error) {
	for {
		text, err := s.frames.next()
		if err != nil {
			return nil, err
		}
		p, err := infer.ReadPart(text)
		if err != nil {
			return nil, s.p.fault.malformed(err, "a part of an answer")
		}
		if p.Err != nil {
			return nil, s.p.fault.said(p.Err)
		}
		switch err := s.p.mine(p, s.id); {
		case err != nil:
			return nil, err
		case p.Done:
			return nil, io.EOF
		case p.Chunk != nil:
			made, err := s.p.produced(p.Chunk)
			t.piece(made)
			return p.Chunk, err
		}
		if err := s.take(p.Result, t); err != nil {
			return nil, err
		}
	}
}

// produced checks a chunk, and returns how many bytes the model has made in it.
func (p *peer) produced(chunk []byte) (n int, err error) {
	o, err := rpc.ReadObject(chunk)
	if err != nil {
		return 0, p.fault.malformed(err, "a chunk")
	}
	if text, ok := o.Get("text"); ok && text[0] != '"' {
		return 0, p.fault.malformed(nil, "a chunk")
	}
	o.Each(func(name string, value json.RawMessage) bool {
		switch name {
		case "text":
			n += max(0, len(value)-len(`""`))
		case "index", "role", "finish_reason":
		default:
			n += len(value)
		}
		return true
	})
	return n, nil
}

// take reads the response, of which there is one.
func (s *relayStream) take(result []byte, t *tally) error {
	if result == nil || s.answer != nil {
		return s.p.fault.malformed(nil, "an answer in parts that do not belong together")
	}
	o, err := rpc.ReadObject(result)
	if err != nil || o.Len() > maxMembers {
		return s.p.fault.malformed(err, "a result")
	}
	t.relayed(o)
	s.answer = []member{}
	o.Each(func(name string, value json.RawMessage) bool {
		if name != "usage" {
			s.answer = append(s.answer, member{name, bytes.Clone(value)})
		}
		return true
	})
	return nil
}

// finish implements [parts].
func (s *relayStream) finish(w *writer) { w.members(s.answer) }

// close implements [parts].
func (s *relayStream) close(whole bool) { s.frames.close(whole) }

// httpFrames are the lines of an HTTP answer.
type httpFrames struct {
	resp  *upstream.Response
	lines *frame.LineReader
	fault *fault
}

func (f *httpFrames) next() ([]byte, error) {
	line, err := f.lines.Next()
	switch {
	case rpc.IsEnd(err):
		return nil, f.fault.broke(io.ErrUnexpectedEOF, "ended its stream in the middle of the answer")
	case err == frame.ErrTooLong: //nolint:errorlint // it is returned itself
		return nil, f.fault.failed(err, "sent a line that exceeds the size limit")
	}
	return line, err
}

func (f *httpFrames) close(whole bool) {
	if whole {
		_ = f.resp.Finish()
		return
	}
	_ = f.resp.Close()
}

// Probe implements [Backend].
func (b *relay) Probe(ctx context.Context) error {
	p, err := b.question(ctx, infer.Status, nil)
	if err != nil {
		return err
	}
	return b.fault.well(p.Result)
}

// well reads how a gateway says it is.
func (f *fault) well(status []byte) error {
	o, err := rpc.ReadObject(status)
	if err != nil {
		return f.malformed(err, "its status")
	}
	if s, _ := o.Text("status"); s == "unavailable" {
		return f.down(nil, "says that it is unavailable")
	}
	return nil
}

// Models returns the names of the models that the gateway lets this one use.
func (b *relay) Models(ctx context.Context) ([]string, error) {
	p, err := b.question(ctx, infer.Status, nil)
	if err != nil {
		return nil, err
	}
	return b.names(p.Result, "models", "name")
}

// Warm implements [Backend].
func (b *relay) Warm(ctx context.Context, model string) error {
	_, err := b.question(ctx, infer.Invoke, warming(model))
	return err
}

// warming returns the params of an invocation that is made to have a model loaded.
func warming(model string) []byte {
	w := writer{text: []byte{'{'}}
	w.string("model", model)
	w.string("prompt", "hi")
	w.number("max_tokens", 1)
	return append(w.text, '}')
}

// question asks the gateway for something itself.
func (b *relay) question(ctx context.Context, method string, params []byte) (infer.Part, error) {
	id := rpc.NumberID(b.ids.Add(1))
	header := []upstream.Field{{Name: "Content-Type", Value: typeJSON}, {Name: "Accept", Value: typeJSON}}
	resp, err := b.client.Do(ctx, &upstream.Request{
		Method: http.MethodPost, Endpoint: b.to, Header: header, Body: rpc.NewRequest(id, method, params).AppendTo(nil),
	})
	if err != nil {
		return infer.Part{}, b.fault.exchange(err)
	}
	p, err := b.answer(resp, id)
	if err == nil {
		return p, nil
	}
	if _, ours := errors.AsType[*rpc.Error](err); !ours {
		err = b.fault.exchange(err)
	}
	return p, err
}
