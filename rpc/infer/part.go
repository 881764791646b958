package infer

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// NewPart returns a notification that carries a part of an answer in a reply: [Chunk] or [Entry]. The
// part is the text of an object.
func NewPart(method string, part []byte) *rpc.Message { return rpc.NewNotification(method, part) }

// NewChunk returns the notification of a chunk, which is the text of an object.
func NewChunk(chunk []byte) *rpc.Message { return NewPart(Chunk, chunk) }

// NewEntry returns the notification of an entry of a log, which is the text of an object.
func NewEntry(entry []byte) *rpc.Message { return NewPart(Entry, entry) }

// TextChunk returns the notification of a chunk that has a text and nothing else.
func TextChunk(text string) *rpc.Message {
	return NewChunk(append(rpc.AppendString([]byte(`{"text":`), text), '}'))
}

// AppendPart appends what goes on the wire for a message of a reply: one object with the id of the request. A chunk or
// an entry stands in the result under its method's name. Versioned says that the request called itself JSON-RPC 2.0.
func AppendPart(dst []byte, id rpc.ID, versioned bool, m *rpc.Message) []byte {
	dst = appendHead(dst, id, versioned)
	switch {
	case m.Method != "":
		dst = append(append(append(dst, `,"result":{"`...), m.Method...), `":`...)
		return append(append(dst, m.Params...), "}}"...)
	case m.Err != nil:
		dst = append(strconv.AppendInt(append(dst, `,"error":{"code":`...), m.Err.Code, 10), `,"message":`...)
		dst = rpc.AppendString(dst, m.Err.Message)
		if m.Err.Data != nil {
			dst = append(append(dst, `,"data":`...), m.Err.Data...)
		}
		return append(dst, "}}"...)
	}
	return append(m.AppendResult(append(dst, `,"result":`...)), '}')
}

// AppendDone appends the object that ends a streamed answer.
func AppendDone(dst []byte, id rpc.ID, versioned bool) []byte {
	return append(appendHead(dst, id, versioned), `,"done":true}`...)
}

func appendHead(dst []byte, id rpc.ID, versioned bool) []byte {
	dst = append(dst, '{')
	if versioned {
		dst = append(dst, `"jsonrpc":"2.0",`...)
	}
	dst = append(dst, `"id":`...)
	if id.IsZero() {
		return append(dst, "null"...)
	}
	return append(dst, id.Raw()...)
}

// Part is one object of what a gateway answers. Of Chunk, Entry, Result, Err and Done one is there. Its raw parts lie in
// the text that it was read from.
type Part struct {
	ID     rpc.ID // zero where the request could not be read
	Chunk  json.RawMessage
	Entry  json.RawMessage
	Result json.RawMessage
	Err    *rpc.WireError
	Done   bool // the answer ends here
}

var errPart = errors.New("an object with exactly one of result, error and done is needed")

// ReadPart reads what [AppendPart] and [AppendDone] write, or another gateway. A result with nothing in
// it but an object called chunk, or entry, is one of these.
func ReadPart(text []byte) (Part, error) {
	if !json.Valid(text) {
		return Part{}, errors.New("not JSON")
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return Part{}, err
	}
	var out Part
	if id, ok := o.Get("id"); ok && string(id) != "null" {
		if out.ID, err = rpc.ParseID(id); err != nil {
			return Part{}, err
		}
	}
	result, hasResult := o.Get("result")
	failure, hasFailure := o.Get("error")
	done, hasDone := o.Get("done")
	switch {
	case hasResult && !hasFailure && !hasDone:
		err = out.result(result)
	case hasFailure && !hasResult && !hasDone:
		out.Err, err = readFailure(failure)
	case hasDone && !hasResult && !hasFailure && string(done) == "true":
		out.Done = true
	default:
		err = errPart
	}
	return out, err
}

func (p *Part) result(text json.RawMessage) error {
	if text[0] != '{' {
		return errors.New("result is not an object")
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return err
	}
	p.Result = text
	if o.Len() != 1 {
		return nil
	}
	for name, into := range map[string]*json.RawMessage{Chunk: &p.Chunk, Entry: &p.Entry} {
		if v, ok := o.Get(name); ok && v[0] == '{' {
			*into, p.Result = v, nil
		}
	}
	return nil
}

func readFailure(text json.RawMessage) (*rpc.WireError, error) {
	if text[0] != '{' {
		return nil, errors.New("error is not an object")
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, err
	}
	out := &rpc.WireError{}
	code, _ := o.Get("code")
	if out.Code, err = strconv.ParseInt(string(code), 10, 64); err != nil {
		return nil, errors.New("error.code must be an integer")
	}
	out.Message, _ = o.Text("message")
	out.Data, _ = o.Get("data")
	return out, nil
}
