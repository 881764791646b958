package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// Session drives a session with a gateway, over each transport: initialize, invoke, a stream, a cancel in its middle, a client
// that has enough, a job, heartbeats, and a connection that is lost.
func Session(t *testing.T, target Target) {
	t.Helper()
	if target.Endless == nil {
		target.Endless = map[string]any{"max_tokens": 5000, "ignore_eos": true}
	}
	for name, dial := range transports {
		t.Run(name, func(t *testing.T) {
			first, err := dial(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			c := &conversation{t: t, target: target, client: first}
			t.Cleanup(func() { c.close() })
			session := c.initialize()
			c.invoke()
			c.stream()
			c.cancelled()
			c.left()
			c.lose(session)
			c.job(session)
			c.longJob()
			c.lateJob()
			c.heartbeat()
			c.refusals()
		})
	}
}

// introduction is the result of initialize.
type introduction struct {
	ProtocolVersion string
	ServerInfo      struct{ Name, Version string }
	SessionID       string
	Capabilities    struct {
		Streaming, Async, Cancel bool
		Methods                  []string
	}
	Models []struct {
		Name      string
		Streaming bool
	}
}

// initialize opens a session.
func (c *conversation) initialize() string {
	c.t.Helper()
	var hello introduction
	c.must("initialize", map[string]any{"clientInfo": map[string]any{"name": "script", "version": "1"}}, &hello)
	if hello.ProtocolVersion == "" || hello.ServerInfo.Name == "" || hello.SessionID == "" {
		c.t.Errorf("initialize: %+v", hello)
	}
	for _, method := range []string{"initialize", "invoke", "invoke_async", "status", "cancel", "heartbeat", "ping"} {
		if !slices.Contains(hello.Capabilities.Methods, method) {
			c.t.Errorf("initialize: %s is not among the methods %v", method, hello.Capabilities.Methods)
		}
	}
	known := false
	for _, m := range hello.Models {
		known = known || m.Name == c.target.Model
	}
	if !known || !hello.Capabilities.Streaming || !hello.Capabilities.Async || !hello.Capabilities.Cancel {
		c.t.Errorf("initialize: %+v", hello)
	}
	c.keep(hello.SessionID)
	return hello.SessionID
}

// usage is what a call has used.
type usage struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
}

// completion is the result of an invoke.
type completion struct {
	Model, Output string
	FinishReason  string `json:"finish_reason"`
	Usage         *usage
}

func (c *conversation) complete(what string, r *completion) {
	c.t.Helper()
	if r.Output == "" || r.FinishReason == "" || r.Usage == nil || r.Usage.Input < 1 || r.Usage.Output < 1 {
		c.t.Errorf("%s: %+v", what, r)
	}
}

func (c *conversation) invoke() {
	c.t.Helper()
	var r completion
	c.must("invoke", c.request("Say something.", map[string]any{"max_tokens": 8}), &r)
	if c.complete("invoke", &r); r.Model != c.target.Model {
		c.t.Errorf("invoke: the model is %q", r.Model)
	}
}

// chunk reads an object that is part of a stream, and reports whether there was one.
func (c *conversation) chunk(o Object) (string, bool) {
	c.t.Helper()
	var r struct{ Chunk *struct{ Text string } }
	if o.Error != nil || o.Done || json.Unmarshal(o.Result, &r) != nil || r.Chunk == nil {
		return "", false
	}
	return r.Chunk.Text, true
}

func (c *conversation) stream() {
	c.t.Helper()
	id, a := c.open("invoke", c.request("Say something.", map[string]any{"max_tokens": 8, "stream": true}))
	var text strings.Builder
	var r completion
	o := c.read(id, a)
	for part, ok := c.chunk(o); ok; part, ok = c.chunk(o) {
		text.WriteString(part)
		o = c.read(id, a)
	}
	if o.Error != nil {
		c.t.Fatalf("stream: %v", o.Error)
	}
	c.decode("stream", o.Result, &r)
	r.Output = text.String()
	c.complete("stream", &r)
	if o = c.read(id, a); !o.Done {
		c.t.Errorf("stream: %+v is not the end", o)
	}
}

// endless begins a stream without an end, and reads a chunk of it.
func (c *conversation) endless() (int, answer) {
	c.t.Helper()
	params := c.request("Go on and on.", c.target.Endless)
	params["stream"] = true
	id, a := c.open("invoke", params)
	if o := c.read(id, a); o.Result == nil {
		c.t.Fatalf("stream: %+v %v", o, o.Error)
	}
	return id, a
}

// cancelled cancels a stream in its middle. The stream itself ends with the error.
func (c *conversation) cancelled() {
	c.t.Helper()
	id, a := c.endless()
	var r struct{ Cancelled bool }
	if c.must("cancel", map[string]any{"id": id}, &r); !r.Cancelled {
		c.t.Error("cancel: there was nothing to cancel")
	}
	o := c.read(id, a)
	for _, ok := c.chunk(o); ok; _, ok = c.chunk(o) {
		o = c.read(id, a)
	}
	if o.Error == nil || o.Error.Code != -32009 || o.Error.Data.Reason != "cancelled" {
		c.t.Errorf("a cancelled stream ends with %+v %v", o, o.Error)
	}
	if c.must("cancel", map[string]any{"id": id}, &r); r.Cancelled {
		c.t.Error("cancel: there was something to cancel")
	}
}

// standing is the result of status.
type standing struct {
	Status string
	Models []struct {
		Name      string
		Available bool
		InFlight  int `json:"in_flight"`
	}
}

// idle waits until nothing of the model is in flight.
func (c *conversation) idle(what string) {
	c.t.Helper()
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var now standing
		c.must("status", nil, &now)
		for _, m := range now.Models {
			if m.Name == c.target.Model && m.InFlight == 0 && m.Available && now.Status == "ok" {
				return
			}
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: %+v", what, now)
		}
	}
}

// left gives up a stream that takes too long. Over HTTP the gateway notices; on a connection that goes on it is told.
func (c *conversation) left() {
	c.t.Helper()
	id, a := c.endless()
	a.leave()
	if _, shared := c.client.(*overSocket); shared {
		c.must("cancel", map[string]any{"id": id}, nil)
	}
	c.idle("after the client has left")
}

// lose loses the connection in the middle of a stream, which ends the call, and takes the session up again.
func (c *conversation) lose(session string) {
	c.t.Helper()
	_, a := c.endless()
	a.leave()
	c.reconnect(session)
	var hello introduction
	if c.must("initialize", nil, &hello); hello.SessionID != session {
		c.t.Errorf("the session that was taken up again is %q", hello.SessionID)
	}
	c.idle("after the connection was lost")
	c.invoke()
}

// reconnect loses the connection without a word, and takes the session up on another one.
func (c *conversation) reconnect(session string) {
	c.t.Helper()
	c.close()
	again, err := c.resume(c.t.Context(), session)
	if err != nil {
		c.t.Fatal(err)
	}
	c.client = again
}

func (c *conversation) heartbeat() {
	c.t.Helper()
	for _, method := range []string{"heartbeat", "ping"} {
		var r struct {
			Nonce string
			Time  time.Time
		}
		if c.must(method, map[string]any{"nonce": method + "!"}, &r); r.Nonce != method+"!" || r.Time.IsZero() {
			c.t.Errorf("%s: %+v", method, r)
		}
	}
}

func (c *conversation) refusals() {
	c.t.Helper()
	c.refused("invoke", map[string]any{"model": "there is none such", "prompt": "x"}, -32602, "invalid_params")
	c.refused("invoke", map[string]any{"model": c.target.Model}, -32602, "invalid_params")
	c.refused("divine", nil, -32601, "method_not_found")
}
