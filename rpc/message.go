package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// Message is one JSON-RPC 2.0 message: a request, a notification or a response.
// It keeps the bytes it was read from, which must not change while it is in use;
// ID, Method, Params, Result and Err show what was received. Edits are recorded
// beside them and show in [Message.AppendTo] only. A Message may be read by many
// goroutines at once as long as nobody edits it; to edit what others read, [Message.Fork].
type Message struct {
	ID     ID              // zero in a notification, and in an error that answers nothing in particular
	unread bool            // a notification of which there is only what follows
	Method string          // empty in a response
	Params json.RawMessage // nil if absent
	Result json.RawMessage // nil unless this is a successful response
	Err    *WireError      // nil unless this is an error response

	objects [scopes]object
	edits   []edit
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
	Depth   int     // nested containers, at most [MaxDepth]; 0 means [DefaultDepth]
	Dialect Dialect // [MCP] if empty
}

// ErrBatch is the cause of refusing an array where one message is expected.
var ErrBatch = errors.New("a batch where one message is expected")

// ErrNoObject is the cause of refusing JSON that is no message, since it is neither an object nor an array of them (JSON-RPC 2.0,
// section 5.1, invalid request).
var ErrNoObject = errors.New("a message is an object")

// Parse reads one message. It accepts what every reader understands alike:
// valid UTF-8, one JSON object, no duplicate or differently cased names in the
// objects it reads (the message, its params and their _meta), depth within the
// limit. Text that is no such JSON is an [Error] with code ParseError, JSON that is
// no message, or more than one to some readers, is one with code InvalidRequest.
// The message is never nil: beside an error it is what could be read, so that the
// answer can carry its id if that was certain.
//
// Messages of the inference dialect need not say that they are JSON-RPC 2.0, have whole
// numbers as ids, and are no JSON to it where names in them are ambiguous.
func Parse(data []byte, lim Limits) (*Message, error) {
	g := &mcpGrammar
	if lim.Dialect == Infer {
		g = &inferGrammar
	}
	return parse(data, min(lim.Depth, MaxDepth), g)
}

func parse(data []byte, depth int, g *grammar) (*Message, error) {
	m := &Message{}
	m.makeRoom()
	if err := m.scan(data, depth, g.envelope); err != nil {
		return &Message{}, g.refusal(err)
	}
	if err := m.fill(g); err != nil {
		return m, &Error{Code: InvalidRequest, Message: "not a JSON-RPC message: " + err.Error(), Cause: err}
	}
	return m, nil
}

// scan checks the text and records the members of the message.
func (m *Message) scan(data []byte, depth int, envelope *layer) error {
	s := scanner{data: data, depth: depth}
	s.space()
	switch s.peek() {
	case '{':
	case '[':
		return ErrBatch
	default:
		if utf8.Valid(data) && json.Valid(data) {
			return ErrNoObject
		}
		return s.fail("expected an object")
	}
	if err := s.record(m.objects[:], envelope, 0); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.fail("trailing data")
	}
	return nil
}

// fill reads the members of the envelope (JSON-RPC 2.0, sections 4 and 5).
func (m *Message) fill(g *grammar) error {
	envelope := &m.objects[top]
	if f := envelope.find("id"); f != nil {
		id, err := idFrom(envelope.text(f), f.value.from)
		if err != nil {
			return err
		}
		if g.integers && !id.IsWhole() {
			return errors.New("id must be a string or an integer")
		}
		m.ID = id
	}
	if v, said := envelope.get("jsonrpc"); string(v) != `"2.0"` && (said || !g.versionless) {
		return errors.New(`jsonrpc must be "2.0"`)
	}
	method, isCall := envelope.get("method")
	result, hasResult := envelope.get("result")
	failure := envelope.find("error")
	_, hasParams := envelope.get("params")
	switch {
	case isCall && !hasResult && failure == nil:
		return m.fillCall(method)
	case isCall || hasParams || hasResult == (failure != nil):
		return errors.New("exactly one of method, result and error is needed, and params only beside method")
	case hasResult && m.ID.IsZero():
		return errors.New("a result needs an id")
	case hasResult:
		m.Result = result
		return nil
	}
	return m.fillError(failure)
}

func (m *Message) fillCall(method json.RawMessage) (err error) {
	if m.Method, err = Unquote(method); err != nil || m.Method == "" {
		return errors.New("method must be a string that names something")
	}
	if f := m.objects[top].find("id"); f != nil && m.ID.IsZero() {
		return errors.New("a request's id must not be null")
	}
	params, ok := m.objects[top].get("params")
	if !ok || string(params) == "null" {
		return nil
	}
	if params[0] != '{' {
		return errors.New("params must be an object")
	}
	m.Params = params
	return m.checkSubject()
}

// checkSubject refuses a name to route by that readers decode to different texts.
func (m *Message) checkSubject() error {
	params := &m.objects[body]
	for _, name := range [...]string{"name", "uri", "taskId"} {
		f := params.find(name)
		if f == nil {
			continue
		}
		text := params.text(f)
		if text[0] != '"' || bytes.IndexByte(text, '\\') < 0 {
			continue
		}
		if _, err := Unquote(text); err != nil {
			return &SyntaxError{Offset: f.value.from, Reason: "params." + name + " has an escape that names no character", Ambiguous: true}
		}
	}
	return nil
}

func (m *Message) fillError(f *member) (err error) {
	s := scanner{data: m.objects[top].raw, pos: f.value.from, depth: 2 * MaxDepth}
	if s.peek() != '{' {
		return s.fail("error is not an object")
	}
	var o [1]object
	if err := s.record(o[:], plainLayer, 1); err != nil {
		return err
	}
	e := &WireError{}
	code, _ := o[0].get("code")
	if e.Code, err = strconv.ParseInt(string(code), 10, 64); err != nil {
		return errors.New("error.code must be an integer")
	}
	e.Message, _ = text(o[0].get("message"))
	e.Data, _ = o[0].get("data")
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
// were parsed or from our own code, so a failure is a defect of the composer, and an
// error response is what is left to send.
func built(text []byte) *Message {
	m, err := parse(text, 2*MaxDepth, &ownGrammar)
	if err != nil {
		return NewError(m.ID, &WireError{Code: -32603, Message: "gateway composed a bad message: " + err.Error()})
	}
	return m
}

// Versioned reports whether the message says that it is JSON-RPC 2.0, which it need not in every dialect.
func (m *Message) Versioned() bool { m.read(); return m.objects[top].find("jsonrpc") != nil }

// IsRequest reports whether the message asks for a response.
func (m *Message) IsRequest() bool { return m.Method != "" && !m.ID.IsZero() }

// IsNotification reports whether the message is a notification.
func (m *Message) IsNotification() bool { return m.Method != "" && m.ID.IsZero() }

// IsResponse reports whether the message is a result or an error.
func (m *Message) IsResponse() bool { return m.Method == "" }

// Fork returns a message with the same bytes and edits whose further edits do not
// show in m. It is cheap: the bytes are shared.
func (m *Message) Fork() *Message {
	const further = 6 // what a message on its way usually gets
	f := *m
	f.edits = append(make([]edit, 0, len(m.edits)+further), m.edits...)
	return &f
}

// Clone returns a copy in memory of its own, with all edits applied. What comes
// from [Reply.Next] must be cloned to be kept.
func (m *Message) Clone() *Message { return built(m.AppendTo(nil)) }
