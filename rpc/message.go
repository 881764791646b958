package rpc

import (
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// Message is one JSON-RPC 2.0 message: a request, a notification or a response.
// It keeps the bytes it was read from, which must not change while it is in use;
// ID, Method, Params, Result and Err show what was received. Edits are recorded
// beside them and show in [Message.AppendTo] only. A Message may be read by many
// goroutines at once as long as nobody edits it; to edit what others read, [Message.Fork].
type Message struct {
	ID     ID              // zero in a notification, and in an error that answers nothing in particular
	Method string          // empty in a response
	Params json.RawMessage // nil if absent
	Result json.RawMessage // nil unless this is a successful response
	Err    *WireError      // nil unless this is an error response

	top, body, meta object // body is params or result, meta its _meta
	read            bool   // whether body and meta of a result have been recorded
	edits           []edit
}

// WireError is the error member of a response, as it stands on the wire.
type WireError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error implements error.
func (e *WireError) Error() string { return e.Message }

// Limits bounds what [Parse] accepts. The zero value means the defaults.
type Limits struct {
	Depth int // nested containers; 0 means [DefaultDepth]
}

// ErrBatch is the cause of refusing an array where one message is expected.
var ErrBatch = errors.New("a batch where one message is expected")

// Parse reads one message. It accepts what every reader understands alike:
// valid UTF-8, one JSON object, no duplicate or differently cased names in the
// objects it reads (the message, its params and their _meta), depth within the
// limit. Text that is no such JSON is an [Error] with code ParseError, JSON that is
// no message one with code InvalidRequest. An InvalidRequest comes with the message
// as far as it was read, so that the answer can carry its id.
func Parse(data []byte, lim Limits) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, Errorf(ParseError, "message is not valid UTF-8")
	}
	s := scanner{data: data, depth: lim.Depth}
	s.space()
	switch s.peek() {
	case '{':
	case '[':
		return nil, &Error{Code: InvalidRequest, Message: "batches are not accepted here", Cause: ErrBatch}
	default:
		return nil, Errorf(ParseError, "message is not a JSON object")
	}
	m := &Message{}
	m.top.raw = data
	m.top.members = make([]member, 0, 16)
	if err := s.record(&m.top, 0, m.descend); err != nil {
		return nil, refusal(err)
	}
	s.space()
	if s.pos != len(data) {
		return nil, Errorf(ParseError, "message refused: trailing data at byte %d", s.pos)
	}
	if err := m.fill(); err != nil {
		return m, &Error{Code: InvalidRequest, Message: "not a JSON-RPC message: " + err.Error(), Cause: err}
	}
	return m, nil
}

// refusal tells text that is no JSON from JSON that is understood in two ways.
func refusal(err error) *Error {
	code := ParseError
	if e, ok := errors.AsType[*SyntaxError](err); ok && e.Ambiguous {
		code = InvalidRequest
	}
	return &Error{Code: code, Message: "message refused: " + err.Error(), Cause: err}
}

// descend names the objects that are recorded while a message is parsed.
func (m *Message) descend(path string) *object {
	switch path {
	case "params":
		return &m.body
	case "params._meta":
		return &m.meta
	}
	return nil
}

// fill reads the members of the envelope (JSON-RPC 2.0, sections 4 and 5).
func (m *Message) fill() error {
	if v, ok := m.top.get("id"); ok && string(v) != "null" {
		id, err := idFrom(v)
		if err != nil {
			return err
		}
		m.ID = id
	}
	if v, _ := m.top.get("jsonrpc"); string(v) != `"2.0"` {
		return errors.New(`jsonrpc must be "2.0"`)
	}
	method, isCall := m.top.get("method")
	result, hasResult := m.top.get("result")
	failure, hasError := m.top.get("error")
	switch {
	case isCall && !hasResult && !hasError:
		return m.fillCall(method)
	case hasResult && !isCall && !hasError:
		m.Result = result
		if m.ID.IsZero() {
			return errors.New("a result needs an id")
		}
		return nil
	case hasError && !isCall && !hasResult:
		return m.fillError(failure)
	}
	return errors.New("exactly one of method, result and error is needed")
}

func (m *Message) fillCall(method json.RawMessage) (err error) {
	if m.Method, err = Unquote(method); err != nil || m.Method == "" {
		return errors.New("method must be a string that names something")
	}
	if _, ok := m.top.get("id"); ok && m.ID.IsZero() {
		return errors.New("a request's id must not be null")
	}
	params, ok := m.top.get("params")
	if !ok || string(params) == "null" {
		return nil
	}
	if params[0] != '{' {
		return errors.New("params must be an object")
	}
	m.Params = params
	return nil
}

func (m *Message) fillError(text json.RawMessage) error {
	o, err := ReadObject(text)
	if err != nil {
		return err
	}
	e := &WireError{}
	code, _ := o.Get("code")
	if err := json.Unmarshal(code, &e.Code); err != nil {
		return errors.New("error.code must be an integer")
	}
	e.Message, _ = o.Text("message")
	e.Data, _ = o.Get("data")
	m.Err = e
	return nil
}

// NewRequest builds a request; params is the text of an object, or nil.
func NewRequest(id ID, method string, params []byte) *Message {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id.raw...)
	return built(appendCall(append(b, ','), method, params))
}

// NewNotification builds a notification; params is the text of an object, or nil.
func NewNotification(method string, params []byte) *Message {
	return built(appendCall([]byte(`{"jsonrpc":"2.0",`), method, params))
}

func appendCall(b []byte, method string, params []byte) []byte {
	b = AppendString(append(b, `"method":`...), method)
	if params != nil {
		b = append(append(b, `,"params":`...), params...)
	}
	return append(b, '}')
}

// NewResult builds a successful response; result is the text of a JSON value.
func NewResult(id ID, result []byte) *Message {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id.raw...)
	b = append(append(b, `,"result":`...), result...)
	return built(append(b, '}'))
}

// NewError builds an error response. A zero id becomes null, which is right where
// the id of the request could not be read (JSON-RPC 2.0, section 5).
func NewError(id ID, e *WireError) *Message {
	text := id.raw
	if text == "" {
		text = "null"
	}
	b := append([]byte(`{"jsonrpc":"2.0","id":`), text...)
	b = append(b, `,"error":{"code":`...)
	b = append(AppendInt(b, e.Code), `,"message":`...)
	b = AppendString(b, e.Message)
	if e.Data != nil {
		b = append(append(b, `,"data":`...), e.Data...)
	}
	return built(append(b, "}}"...))
}

// built reads a message that was composed here. Its parts come from messages that
// were parsed or from our own code, so a failure is a defect of the composer.
func built(text []byte) *Message {
	m, err := Parse(text, Limits{Depth: 2 * DefaultDepth})
	if err != nil {
		return &Message{Err: &WireError{Code: -32603, Message: "gateway composed a bad message: " + err.Error()}}
	}
	return m
}

// IsRequest reports whether the message asks for a response.
func (m *Message) IsRequest() bool { return m.Method != "" && !m.ID.IsZero() }

// IsNotification reports whether the message is a notification.
func (m *Message) IsNotification() bool { return m.Method != "" && m.ID.IsZero() }

// IsResponse reports whether the message is a result or an error.
func (m *Message) IsResponse() bool { return m.Method == "" }

// Fork returns a message with the same bytes and edits whose further edits do not
// show in m. It is cheap: the bytes are shared.
func (m *Message) Fork() *Message {
	f := *m
	f.edits = slices.Clone(m.edits)
	return &f
}

// Clone returns a copy in memory of its own, with all edits applied. What comes
// from [Reply.Next] must be cloned to be kept.
func (m *Message) Clone() *Message { return built(m.AppendTo(nil)) }
