package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Tool is one tool of a Server.
type Tool struct {
	// Name is the name clients call it by.
	Name string
	// Definition is its exact entry in tools/list; nil makes one from the name.
	Definition json.RawMessage
	// Behaviour answers its calls.
	Behaviour Behaviour
}

// Behaviour answers one tools/call with the exact bytes of the member "result". An *Error is sent as it is; another
// error is sent as an internal error, unless ctx has ended: then nothing is sent. Calls run concurrently.
type Behaviour func(ctx context.Context, c *Call) (result []byte, err error)

// Call is one request as a Behaviour sees it. It and its bytes are valid until the Behaviour returns.
type Call struct {
	// Era is the era the request is written in.
	Era Era
	// ID is the request's id as it was received.
	ID []byte
	// Method is the request's method.
	Method string
	// Params, Meta and Arguments are params, params._meta and params.arguments as they were received; nil when absent.
	Params, Meta, Arguments []byte
	// Name is params.name.
	Name string
	// Header is the HTTP header of the request; nil over stdio.
	Header http.Header
	// Session is the legacy session's id; empty over stdio and for modern requests.
	Session string
	// Scratch is an empty slice with room that a Behaviour may append its result to, to save an allocation.
	Scratch []byte

	notify func(message []byte) error
}

// Notify sends a notification about this request ahead of its answer. params are exact bytes; nil sends none.
func (c *Call) Notify(method string, params []byte) error {
	return c.notify(notification(method, params))
}

// Progress sends notifications/progress when the client asked for it by a token, and otherwise does nothing.
func (c *Call) Progress(progress, total float64) error {
	token := c.progressToken()
	if token == nil {
		return nil
	}
	params := append([]byte(`{"progressToken":`), token...)
	params = strconv.AppendFloat(append(params, `,"progress":`...), progress, 'g', -1, 64)
	params = strconv.AppendFloat(append(params, `,"total":`...), total, 'g', -1, 64)
	return c.Notify("notifications/progress", append(params, '}'))
}

// Error is a JSON-RPC error that a server sends.
type Error struct {
	Code    int
	Message string
	// Data is the exact bytes of the member "data"; nil sends none.
	Data json.RawMessage
	// Status is the HTTP status; zero means what the era prescribes for the code.
	Status int
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// toolList is the tools at one time; it never changes.
type toolList struct {
	definitions [][]byte
	byName      map[string]Behaviour
}

func newToolList(tools []Tool) *toolList {
	list := &toolList{byName: make(map[string]Behaviour, len(tools))}
	for _, tool := range tools {
		definition := tool.Definition
		if definition == nil {
			definition = fmt.Appendf(nil, `{"name":%s,"description":"A tool made for tests.","inputSchema":{"type":"object"}}`, quote(tool.Name))
		}
		list.definitions = append(list.definitions, definition)
		list.byName[tool.Name] = tool.Behaviour
	}
	return list
}

// quote returns text as a JSON string.
func quote(text string) []byte {
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil { // a string always encodes
		return []byte(`""`)
	}
	return bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))
}
