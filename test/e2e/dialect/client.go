package dialect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
)

// Object is one object of an answer, or a request of the gateway's own.
type Object struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *Failure
	Done   bool
}

// Failure is an error as it stands on the wire.
type Failure struct {
	Code    int
	Message string
	Data    struct {
		Reason       string
		RequestID    string `json:"request_id"`
		Model        string
		RetryAfterMS int64 `json:"retry_after_ms"`
	}
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%d %s: %s", f.Code, f.Data.Reason, f.Message) }

// answer is what comes for a request.
type answer interface {
	// next returns the next object; an error if there is none.
	next() (Object, error)
	// leave gives the answer up, as a client does that has waited long enough.
	leave()
}

// client is one session of a transport.
type client interface {
	ask(ctx context.Context, id any, method string, params map[string]any) (answer, error)
	// resume is a client that takes a session up again after its connection was lost.
	resume(ctx context.Context, session string) (client, error)
	// keep has the client name the session that initialize has opened, where it must.
	keep(session string)
	close()
}

// Target is a gateway.
type Target struct {
	URL    string // of the dialect, such as http://127.0.0.1:8080/rpc
	Model  string
	Header http.Header // credentials
	// Endless are parameters with which the model goes on until it is told to stop; by default those of the simulator.
	Endless map[string]any
}

// transports are the ways to reach a gateway.
var transports = map[string]func(context.Context, Target) (client, error){"HTTP": dialHTTP, "WebSocket": dialSocket}

// conversation is a client, and what a test expects of it.
type conversation struct {
	t      *testing.T
	target Target
	client
	ids int
}

// request returns the params of a request about the model.
func (c *conversation) request(prompt string, more map[string]any) map[string]any {
	params := map[string]any{"model": c.target.Model, "prompt": prompt}
	maps.Copy(params, more)
	return params
}

// open sends a request and returns its id and what comes.
func (c *conversation) open(method string, params map[string]any) (int, answer) {
	c.t.Helper()
	c.ids++
	a, err := c.ask(c.t.Context(), c.ids, method, params)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	c.t.Cleanup(a.leave)
	return c.ids, a
}

// read returns the next object of an answer, which must bear the request's id.
func (c *conversation) read(id int, a answer) Object {
	c.t.Helper()
	o, err := a.next()
	if err != nil {
		c.t.Fatalf("request %d: %v", id, err)
	}
	if string(o.ID) != fmt.Sprint(id) {
		c.t.Fatalf("request %d: the answer has the id %s", id, o.ID)
	}
	return o
}

// do sends a request that has one object for an answer, and returns its error.
func (c *conversation) do(method string, params map[string]any, result any) *Failure {
	c.t.Helper()
	id, a := c.open(method, params)
	o := c.read(id, a)
	if o.Error == nil {
		c.decode(method, o.Result, result)
	}
	return o.Error
}

// must is do for requests that have to succeed.
func (c *conversation) must(method string, params map[string]any, result any) {
	c.t.Helper()
	if err := c.do(method, params, result); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

// refused expects an error of a request.
func (c *conversation) refused(method string, params map[string]any, code int, reason string) {
	c.t.Helper()
	err := c.do(method, params, nil)
	if err == nil || err.Code != code || err.Data.Reason != reason || err.Data.RequestID == "" {
		c.t.Errorf("%s: %v, want %d %s", method, err, code, reason)
	}
}

func (c *conversation) decode(what string, text json.RawMessage, into any) {
	c.t.Helper()
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		c.t.Fatalf("%s: %s: %v", what, text, err)
	}
}
