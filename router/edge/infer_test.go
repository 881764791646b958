package edge_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// inferring stands for the models behind a gate. What a call asks for is its prompt:
//
//	chunks  two chunks and a response
//	bare    two chunks and no response
//	fails   an error at once
//	breaks  a chunk, then an error
//	asks    a question, which nobody can be asked, and a response
//	waits   a chunk, then nothing until the call ends
//
// Everything else is answered with its method.
type inferring struct {
	began chan *rpc.Call
	ended chan error // causes of calls that waited
}

func newInferring() *inferring {
	return &inferring{began: make(chan *rpc.Call, 16), ended: make(chan error, 16)}
}

func (i *inferring) handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	id := c.Message.ID
	prompt, _ := c.Message.Text("prompt")
	result := rpc.NewResult(id, []byte(`{"usage":{"input_tokens":1,"output_tokens":2},"finish_reason":"stop"}`))
	switch {
	case c.Method.Name == infer.Logs:
		return rpc.NewReply(&told{ctx: ctx, parts: []*rpc.Message{infer.NewEntry([]byte(`{"level":"info"}`))}, waits: prompt == "waits", ended: i.ended}), nil
	case c.Method.Name == infer.Cancel:
		return i.cancel(c)
	case prompt == "fails":
		err := rpc.Errorf(rpc.Overloaded, "no room")
		err.RetryAfter = 1500 * time.Millisecond
		return nil, err
	}
	r := &told{ctx: ctx, last: result, ended: i.ended}
	switch prompt {
	case "chunks", "bare", "breaks", "waits":
		r.parts = []*rpc.Message{infer.NewChunk([]byte(`{"text":"a\n"}`)), infer.NewChunk([]byte(`{ "text" : "b", "index":1, "x":1.0e2}`))}
	case "asks":
		r.parts = []*rpc.Message{rpc.NewRequest(rpc.NumberID(1), "ping", nil)}
	default:
		r.last = rpc.NewResult(id, []byte(`{"method":"`+c.Method.Name+`"}`))
	}
	switch prompt {
	case "bare":
		r.last = nil
	case "breaks":
		r.parts, r.last, r.fails = r.parts[:1], nil, rpc.Errorf(rpc.UpstreamFailed, "broke off")
	case "waits":
		r.parts, r.waits = r.parts[:1], true
	}
	i.began <- c
	return rpc.NewReply(r), nil
}

func (i *inferring) cancel(c *rpc.Call) (*rpc.Reply, error) {
	text, _ := c.Message.Get("id")
	id, err := rpc.ParseID(text)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "id: %w", err)
	}
	done := "false"
	if c.Flight != nil && c.Flight.Cancel(id) {
		done = "true"
	}
	if c.Message.IsNotification() {
		return rpc.Respond(nil), nil
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"cancelled":`+done+`}`))), nil
}

// told is a reply of a model.
type told struct {
	ctx   context.Context //nolint:containedctx // of the call
	parts []*rpc.Message
	waits bool
	fails error
	last  *rpc.Message
	ended chan<- error
}

func (s *told) Next() (*rpc.Message, error) {
	if len(s.parts) > 0 {
		m := s.parts[0]
		s.parts = s.parts[1:]
		return m, nil
	}
	if s.waits {
		<-s.ctx.Done()
		s.ended <- context.Cause(s.ctx)
		return nil, rpc.Errorf(rpc.UpstreamFailed, "the connection was closed") // as backends say it
	}
	if s.fails != nil {
		return nil, s.fails
	}
	if m := s.last; m != nil {
		s.last = nil
		return m, nil
	}
	return nil, io.EOF
}

func (*told) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*told) Close() error              { return nil }

// invoke is an invoke of a prompt.
func invoke(id, prompt string, stream bool) string {
	text := `{"id":` + id + `,"method":"invoke","params":{"model":"m","prompt":"` + prompt + `"`
	if stream {
		text += `,"stream":true`
	}
	return text + "}}"
}

// at is where the inference dialect is spoken.
func at(header ...string) []string { return append([]string{"Path", infer.Path}, header...) }

const (
	chunkA  = `"result":{"chunk":{"text":"a\n"}}}`
	chunkB  = `"result":{"chunk":{ "text" : "b", "index":1, "x":1.0e2}}}`
	settled = `"result":{"usage":{"input_tokens":1,"output_tokens":2},"finish_reason":"stop"}}`
)

func TestInferAnswers(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle})
	for name, tt := range map[string]struct {
		send, accept string
		status       int
		kind, want   string
	}{
		"unary":                  {invoke("1", "x", false), "", 200, "application/json", `{"id":1,"result":{"method":"invoke"}}`},
		"id byte for byte":       {invoke(`"\u0041/\/"`, "x", false), "", 200, "application/json", `{"id":"\u0041/\/","result":{"method":"invoke"}}`},
		"jsonrpc is echoed":      {`{"jsonrpc":"2.0","id":-7,"method":"status"}`, "", 200, "application/json", `{"jsonrpc":"2.0","id":-7,"result":{"method":"status"}}`},
		"unary, stream accepted": {invoke("1", "x", false), "text/event-stream", 200, "application/json", `{"id":1,"result":{"method":"invoke"}}`},
		"chunks of unary":        {invoke("1", "chunks", false), "", 200, "application/json", `{"id":1,` + settled},
		"questions":              {invoke("1", "asks", false), "", 200, "application/json", `{"id":1,` + settled},
		"lines":                  {invoke("1", "chunks", true), "-", 200, "application/x-ndjson", `{"id":1,` + chunkA + "\n" + `{"id":1,` + chunkB + "\n" + `{"id":1,` + settled + "\n" + `{"id":1,"done":true}` + "\n"},
		"lines, whatever it takes": {
			invoke("1", "bare", true), "application/json", 200, "application/x-ndjson",
			`{"id":1,` + chunkA + "\n" + `{"id":1,` + chunkB + "\n" + `{"id":1,"done":true}` + "\n",
		},
		"lines first": {
			invoke("1", "bare", true), "application/x-ndjson, text/event-stream", 200, "application/x-ndjson",
			`{"id":1,` + chunkA + "\n" + `{"id":1,` + chunkB + "\n" + `{"id":1,"done":true}` + "\n",
		},
		"events": {
			invoke("1", "chunks", true), "text/event-stream, application/x-ndjson", 200, "text/event-stream",
			`data: {"id":1,` + chunkA + "\n\n" + `data: {"id":1,` + chunkB + "\n\n" + `data: {"id":1,` + settled + "\n\n" + `data: {"id":1,"done":true}` + "\n\n",
		},
		"JSON first": {
			invoke("1", "asks", true), "application/json, text/event-stream", 200, "application/x-ndjson", `{"id":1,` + settled + "\n" + `{"id":1,"done":true}` + "\n",
		},
		"stream without a chunk": {
			invoke("1", "asks", true), "text/event-stream", 200, "text/event-stream", `data: {"id":1,` + settled + "\n\n" + `data: {"id":1,"done":true}` + "\n\n",
		},
		"refused events": {
			invoke("1", "asks", true), "text/event-stream;q=0, */*", 200, "application/x-ndjson", `{"id":1,` + settled + "\n" + `{"id":1,"done":true}` + "\n",
		},
		"versioned stream": {
			strings.Replace(invoke(`"s"`, "bare", true), "{", `{"jsonrpc":"2.0",`, 1), "*/*", 200, "application/x-ndjson",
			`{"jsonrpc":"2.0","id":"s",` + chunkA + "\n" + `{"jsonrpc":"2.0","id":"s",` + chunkB + "\n" + `{"jsonrpc":"2.0","id":"s","done":true}` + "\n",
		},
		"logs": {
			`{"id":1,"method":"logs"}`, "*/*", 200, "application/x-ndjson", `{"id":1,"result":{"entry":{"level":"info"}}}` + "\n" + `{"id":1,"done":true}` + "\n",
		},
		"notification": {`{"method":"heartbeat"}`, "", 202, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := at()
			if tt.accept != "" {
				header = at("Accept", tt.accept)
			}
			a := g.do("POST", tt.send, header...)
			if a.status != tt.status || a.header.Get("Content-Type") != tt.kind || a.body != tt.want {
				t.Errorf("status %d, %s\n got %s\nwant %s", a.status, a.header.Get("Content-Type"), a.body, tt.want)
			}
		})
	}
}

func TestInferRefuses(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle, edge: edge.Config{Body: 1000}})
	for name, tt := range map[string]struct {
		verb, send string
		header     []string
		status     int
		code       int64
		id, reason string
	}{
		"JSON of something": {"POST", `"x"`, nil, 400, -32600, "null", "invalid_request"},
		"no JSON":           {"POST", "{", nil, 400, -32700, "null", "parse_error"},
		"no method":         {"POST", `{"id":1}`, nil, 400, -32600, "1", "invalid_request"},
		"bad id":            {"POST", `{"id":1.5,"method":"ping"}`, nil, 400, -32600, "null", "invalid_request"},
		"batch":             {"POST", "[" + invoke("1", "x", false) + "]", nil, 400, -32600, "null", "invalid_request"},
		"answer":            {"POST", `{"id":1,"result":{}}`, nil, 400, -32600, "1", "invalid_request"},
		"invoke without id": {"POST", `{"method":"invoke","params":{"model":"m","prompt":"x"}}`, nil, 400, -32600, "null", "invalid_request"},
		"too large":         {"POST", invoke("1", strings.Repeat("x", 1000), false), nil, 413, -32600, "null", "invalid_request"},
		"media":             {"POST", invoke("1", "x", false), []string{"Content-Type", "text/plain"}, 415, -32600, "null", "invalid_request"},
		"unknown session":   {"POST", invoke("1", "x", false), []string{"Mcp-Session-Id", "no"}, 400, -32600, "1", "invalid_request"},
		"odd field":         {"POST", invoke("1", "x", false), []string{"Mcp_Session_Id", "no"}, 400, -32600, "null", "invalid_request"},
		"GET":               {"GET", "", nil, 405, -32600, "null", "invalid_request"},
		"DELETE":            {"DELETE", "", nil, 405, -32600, "null", "invalid_request"},
		"fails":             {"POST", invoke(`"f"`, "fails", false), nil, 503, -32005, `"f"`, "overloaded"},
		"stream fails":      {"POST", invoke("1", "fails", true), nil, 503, -32005, "1", "overloaded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.do(tt.verb, tt.send, at(tt.header...)...)
			f := failureOf(t, a.body)
			if f.Error == nil {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if a.status != tt.status || f.Error.Code != tt.code || string(f.ID) != tt.id || f.Error.Data["reason"] != tt.reason || f.Error.Data["request_id"] == "" {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if tt.reason == "overloaded" && a.header.Get("Retry-After") != "2" {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			if a.header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
			}
		})
	}
}

func TestInferStreamBreaks(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle})
	a := g.do("POST", invoke("1", "breaks", true), at("Accept", "*/*")...)
	all := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	if a.status != http.StatusOK || len(all) != 2 || all[0] != `{"id":1,`+chunkA || codeOf(t, all[1]) != -32007 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestInferFlushes reads what has come of a stream that goes on.
func TestInferFlushes(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp := g.send(ctx, "POST", invoke("1", "waits", true), at("Accept", "text/event-stream")...)
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != `data: {"id":1,`+chunkA+"\n" {
		t.Fatalf("%q %v", line, err)
	}
	leave() // which cancels the call
	if cause := <-i.ended; cause == nil {
		t.Error("the call ended by itself")
	}
}

// TestInferLogsOpen sees that a stream of logs begins before there is an entry.
func TestInferLogsOpen(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(play(ctx, make(chan *rpc.Message), nil)), nil
	}})
	ctx, leave := context.WithCancel(t.Context())
	resp := g.send(ctx, "POST", `{"id":1,"method":"logs"}`, at("Accept", "*/*")...)
	if got := resp.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("Content-Type %s", got)
	}
	leave()
	_ = resp.Body.Close()
}

func TestInferSession(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	a := g.do("POST", `{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t"}}}`, at("X-User", "ann")...)
	id := a.header.Get("Mcp-Session-Id")
	if want := `{"id":1,"result":{"models":[],"sessionId":"` + id + `"}}`; id == "" || a.body != want {
		t.Fatalf("initialize: %q %s", id, a.body)
	}
	ann := at("X-User", "ann", "Mcp-Session-Id", id)
	g.do("POST", invoke("1", "x", false), ann...)
	if c := <-i.began; c.Client.Session == "" || string(c.Client.Info) != `{"name":"t"}` || c.Record.ID == "" || c.Dialect != rpc.Infer {
		t.Errorf("client %+v", c.Client)
	}
	if again := g.do("POST", `{"id":2,"method":"initialize"}`, ann...); again.body != `{"id":2,"result":{"models":[],"sessionId":"`+id+`"}}` {
		t.Errorf("initialize again: %s", again.body)
	}
	if named := g.do("POST", `{"id":2,"method":"initialize","params":{"sessionId":"`+id+`"}}`, at("X-User", "ann")...); named.header.Get("Mcp-Session-Id") != id {
		t.Errorf("initialize by its params: %s", named.body)
	}
	for name, header := range map[string][]string{"somebody else": at("X-User", "bob", "Mcp-Session-Id", id), "unknown": at("X-User", "bob", "Mcp-Session-Id", id+"x")} {
		if a := g.do("POST", invoke("1", "x", false), header...); a.status != http.StatusBadRequest || codeOf(t, a.body) != -32600 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestInferCancel(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	id := g.do("POST", `{"id":1,"method":"initialize"}`, at()...).header.Get("Mcp-Session-Id")
	session := at("Mcp-Session-Id", id, "Accept", "*/*")
	resp := g.send(t.Context(), "POST", invoke(`"a"`, "waits", true), session...)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); err != nil || line != `{"id":"a",`+chunkA+"\n" {
		t.Fatalf("%q %v", line, err)
	}
	if a := g.do("POST", invoke(`"\u0061"`, "x", false), session...); a.status != http.StatusBadRequest || codeOf(t, a.body) != -32600 {
		t.Errorf("an id that is in flight: %d %s", a.status, a.body)
	}
	cancel := func(want string, header ...string) {
		t.Helper()
		if a := g.do("POST", `{"id":7,"method":"cancel","params":{"id":"a"}}`, header...); a.body != `{"id":7,"result":{"cancelled":`+want+`}}` {
			t.Errorf("cancel: %s", a.body)
		}
	}
	cancel("false", at()...)
	cancel("true", session...)
	rest, err := io.ReadAll(in)
	if err != nil || codeOf(t, string(rest)) != -32009 {
		t.Errorf("the cancelled request: %s %v", rest, err)
	}
	cancel("false", session...)

	unary := make(chan answer)
	go func() {
		a, _ := g.try(t.Context(), invoke(`"b"`, "waits", false), session...)
		unary <- a
	}()
	<-i.began
	<-i.began
	if a := g.do("POST", `{"method":"cancel","params":{"id":"b"}}`, session...); a.status != http.StatusAccepted || a.body != "" {
		t.Errorf("cancel without an id: %d %s", a.status, a.body)
	}
	if a := <-unary; a.status != 499 || codeOf(t, a.body) != -32009 {
		t.Errorf("a cancelled request: %d %s", a.status, a.body)
	}
}

// A client with as many calls in flight as it may have can cancel them, and say that it is there.
func TestInferCancelNeedsNoPlace(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle, edge: edge.Config{InFlight: 1}, session: session.Config{InFlight: 1}})
	id := g.do("POST", `{"id":1,"method":"initialize"}`, at()...).header.Get("Mcp-Session-Id")
	header := at("Mcp-Session-Id", id, "Accept", "*/*")
	resp := g.send(t.Context(), "POST", invoke(`"a"`, "waits", true), header...)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if a := g.do("POST", invoke("2", "x", false), header...); codeOf(t, a.body) != -32004 {
		t.Errorf("one too many: %s", a.body)
	}
	for send, want := range map[string]string{
		`{"id":3,"method":"ping"}`: `{"id":3,"result":{"method":"ping"}}`, `{"id":4,"method":"cancel","params":{"id":"a"}}`: `{"id":4,"result":{"cancelled":true}}`,
	} {
		if a := g.do("POST", send, header...); a.body != want {
			t.Errorf("%s: %s", send, a.body)
		}
	}
	if rest, err := io.ReadAll(in); err != nil || codeOf(t, string(rest)) != -32009 {
		t.Errorf("the cancelled request: %s %v", rest, err)
	}

	c := g.inferSocket()
	c.expect(invoke(`"a"`, "waits", true), `{"id":"a",`+chunkA)
	c.refused(invoke("1", "x", false), "1", -32004)
	c.refused(`{"id":"a","method":"ping"}`, `"a"`, -32600)
	c.expect(`{"id":1,"method":"heartbeat"}`, `{"id":1,"result":{"method":"heartbeat"}}`)
	c.say(`{"id":2,"method":"cancel","params":{"id":"a"}}`)
	ends, says := c.hear(), c.hear() // whichever comes first
	if strings.Contains(ends, `"id":2`) {
		ends, says = says, ends
	}
	if says != `{"id":2,"result":{"cancelled":true}}` || codeOf(t, ends) != -32009 {
		t.Errorf("%s\n%s", says, ends)
	}
}

func TestInferCORS(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle, edge: edge.Config{AllowOrigin: func(o string) bool { return o == "https://a.example" }}})
	a := g.do("OPTIONS", "", at("Origin", "https://a.example", "Access-Control-Request-Method", "POST")...)
	if got := a.header.Get("Access-Control-Allow-Origin"); a.status != http.StatusNoContent || got != "https://a.example" {
		t.Errorf("preflight: %d %q", a.status, got)
	}
	if a := g.do("OPTIONS", "", at()...); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, POST, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", a.status, cmp.Diff("", a.header.Get("Allow")))
	}
}
