package edge_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// script is a reply made of steps: a message, an error to return or a panic.
type script struct {
	steps []any
	shut  func()
}

func (s *script) Next() (*rpc.Message, error) {
	step := s.steps[0]
	s.steps = s.steps[1:]
	switch step := step.(type) {
	case *rpc.Message:
		return step, nil
	case error:
		return nil, step
	}
	panic(step)
}

func (*script) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

func (s *script) Close() error {
	if s.shut != nil {
		s.shut()
	}
	return nil
}

func progress(n int) *rpc.Message {
	return rpc.NewNotification("notifications/progress", []byte(`{"progressToken":"p","progress":`+strconv.Itoa(n)+`}`))
}

func result(text string) *rpc.Message { return rpc.NewResult(rpc.NumberID(7), []byte(text)) }

// What a client gets for what comes back: JSON or a stream by the first message, and
// exactly one response whatever happens.
func TestCorner5_18_AnswerFollowsTheFirstMessage(t *testing.T) {
	t.Parallel()
	const (
		both   = "application/json, text/event-stream"
		simple = "application/json"
		stream = "text/event-stream"
		ok     = `{"jsonrpc":"2.0","id":7,"result":{}}`
		one    = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`
		two    = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":2}}`
	)
	internal := `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"internal error"}}`
	silent := `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"the call ended without a response"}}`
	down := rpc.Errorf(rpc.UpstreamDown, "gone")
	downText := `{"jsonrpc":"2.0","id":7,"error":{"code":101,"message":"gone","data":{"reason":"upstream_down","retryable":false}}}`
	eof := io.EOF
	tests := []struct {
		name   string
		accept string
		steps  []any
		status int
		stream bool
		want   []string
	}{
		{"a response", both, []any{result(`{}`)}, 200, false, []string{ok}},
		{"a response and more", both, []any{result(`{}`), result(`{}`), progress(1)}, 200, false, []string{ok}},
		{"notifications and a response", both, []any{progress(1), progress(2), result(`{}`)}, 200, true, []string{one, two, ok}},
		{"notifications and a response and more", both, []any{progress(1), result(`{}`), progress(2)}, 200, true, []string{one, ok}},
		{"notifications for a client without streams", simple, []any{progress(1), result(`{}`)}, 200, false, []string{ok}},
		{"a response for a client with streams only", stream, []any{result(`{}`)}, 200, true, []string{ok}},
		{"an error for a client with streams only", stream, []any{errors.New("secret")}, 200, true, []string{internal}},
		{"a response for a client that takes anything", "*/*", []any{result(`{}`)}, 200, false, []string{ok}},
		{"a response for a client that says nothing", "-", []any{result(`{}`)}, 200, false, []string{ok}},
		{"an error response", both, []any{rpc.NewError(rpc.NumberID(7), &rpc.WireError{Code: -32601, Message: "x"})}, 200, false, []string{`{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"x"}}`}},
		{"an error", both, []any{errors.New("secret")}, 200, false, []string{internal}},
		{"an error of an upstream", both, []any{down}, 200, false, []string{downText}},
		{"an error in mid-stream", both, []any{progress(1), down}, 200, true, []string{one, downText}},
		{"an end without response", both, []any{eof}, 200, false, []string{silent}},
		{"an end without response in mid-stream", both, []any{progress(1), eof}, 200, true, []string{one, silent}},
		{"a panic", both, []any{"secret"}, 200, false, []string{internal}},
		{"a panic in mid-stream", both, []any{progress(1), "secret"}, 200, true, []string{one, internal}},
		{"a deadline", both, []any{context.DeadlineExceeded}, 200, false, []string{`{"jsonrpc":"2.0","id":7,"error":{"code":103,"message":"the call took too long","data":{"reason":"upstream_timeout","retryable":false}}}`}},
		{"a refusal with a status", both, []any{rpc.Errorf(rpc.Busy, "full")}, 429, false, []string{`{"jsonrpc":"2.0","id":7,"error":{"code":104,"message":"full","data":{"reason":"busy","retryable":true}}}`}},
		{"a refusal with a status in mid-stream", both, []any{progress(1), rpc.Errorf(rpc.Busy, "full")}, 200, true, []string{one, `{"jsonrpc":"2.0","id":7,"error":{"code":104,"message":"full","data":{"reason":"busy","retryable":true}}}`}},
		{"a refusal with a status for a client with streams only", stream, []any{rpc.Errorf(rpc.Busy, "full")}, 429, false, []string{`{"jsonrpc":"2.0","id":7,"error":{"code":104,"message":"full","data":{"reason":"busy","retryable":true}}}`}},
		{"a large response", both, []any{result(`"` + strings.Repeat("x", 3<<20) + `"`)}, 200, false, []string{`{"jsonrpc":"2.0","id":7,"result":"` + strings.Repeat("x", 3<<20) + `"}`}},
		{"a large event", both, []any{progress(1), result(`"` + strings.Repeat("x", 3<<20) + `"`)}, 200, true, []string{one, `{"jsonrpc":"2.0","id":7,"result":"` + strings.Repeat("x", 3<<20) + `"}`}},
		{"line ends between tokens", both, []any{progress(1), lines(t)}, 200, true, []string{one, `{"jsonrpc":"2.0", "id":7,  "result":{} }`}},
		{"line ends between tokens in JSON", both, []any{lines(t)}, 200, false, []string{"{\"jsonrpc\":\"2.0\",\n\"id\":7,\r\n\"result\":{}\r}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var closed sync.WaitGroup
			closed.Add(2)
			handle := func(context.Context, *rpc.Call) (*rpc.Reply, error) {
				steps := append([]any{}, tt.steps...)
				return rpc.NewReply(&script{steps: steps, shut: closed.Done}), nil
			}
			g := open(t, setup{handle: handle})
			a := g.do("POST", request("7", "tools/call"), append(g.session(), "Accept", tt.accept)...)
			check(t, a, tt.status, tt.stream, tt.want)

			body, header := modern("7", "tools/call", `"name":"x"`)
			a = g.do("POST", body, append(header, "Accept", tt.accept)...)
			want := tt.status
			if tt.name == "an error response" {
				want = 404 // the one status that differs between the eras
			}
			check(t, a, want, tt.stream, tt.want)
			closed.Wait() // each reply is closed
		})
	}
}

func check(t *testing.T, a answer, status int, stream bool, want []string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status = %d, want %d: %.300s", a.status, status, a.body)
	}
	if strings.Contains(a.body, "secret") {
		t.Errorf("the client sees internals: %s", a.body)
	}
	if !stream {
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Content-Length") != strconv.Itoa(len(a.body)) {
			t.Errorf("header = %v", a.header)
		}
		if diff := cmp.Diff(want[0], a.body); diff != "" {
			t.Errorf("body (-want +got):\n%.2000s", diff)
		}
		return
	}
	for name, value := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if a.header.Get(name) != value {
			t.Errorf("%s = %q, want %q", name, a.header.Get(name), value)
		}
	}
	if diff := cmp.Diff(want, a.events); diff != "" {
		t.Errorf("events (-want +got):\n%.2000s", diff)
	}
}

func lines(t *testing.T) *rpc.Message {
	t.Helper()
	m, err := rpc.Parse([]byte("{\"jsonrpc\":\"2.0\",\n\"id\":7,\r\n\"result\":{}\r}"), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Answers arrive whole, whatever their size and however they are cut into writes,
// one after another on one connection.
func TestAnswersOfAnySize(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		size, _ := c.Message.Text("size")
		n, err := strconv.Atoi(size)
		if err != nil {
			return nil, err
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`"`+strings.Repeat("x", n)+`"`))), nil
	}})
	bearer := g.session()
	for _, size := range []int{
		0, 1, 2000, 2048, 3700, 3850, 3900, 4000, 4050, 4060, 4096, 4100, 8192, 60_000, 65_536,
		262_000, 262_144, 262_200, 1_000_000,
	} {
		a := g.do("POST", `{"jsonrpc":"2.0","id":7,"method":"x/y","params":{"size":"`+strconv.Itoa(size)+`"}}`, bearer...)
		want := `{"jsonrpc":"2.0","id":7,"result":"` + strings.Repeat("x", size) + `"}`
		if a.status != 200 || a.body != want {
			t.Errorf("%d bytes: %d, %d bytes", size, a.status, len(a.body))
		}
	}
}

func TestPanicsBecomeErrorsWithAStackInTheLog(t *testing.T) {
	t.Parallel()
	var log locked
	g := open(t, setup{log: &log, handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Name == "x/close" {
			return rpc.NewReply(&script{steps: []any{result(`{}`)}, shut: func() { panic("in Close") }}), nil
		}
		panic("in Handle")
	}})
	bearer := g.session()
	if a := g.do("POST", request("7", "x/handle"), bearer...); a.status != 200 || codeOf(t, a.body) != -32603 || strings.Contains(a.body, "in Handle") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.do("POST", request("7", "x/close"), bearer...); a.status != 200 || codeOf(t, a.body) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, want := range []string{"in Handle", "in Close", "answer_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestHeadersOfRepliesAndErrors(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		limits := http.Header{"Ratelimit": {"limit=10"}}
		switch c.Method.Name {
		case "x/json":
			r := rpc.Respond(result(`{}`))
			r.Header = limits
			return r, nil
		case "x/stream":
			r := rpc.NewReply(&script{steps: []any{progress(1), result(`{}`)}})
			r.Header = limits
			return r, nil
		}
		return nil, &rpc.Error{Code: rpc.Busy, Message: "full", Header: limits, RetryAfter: 1500 * time.Millisecond}
	}})
	bearer := g.session()
	for _, method := range []string{"x/json", "x/stream", "x/error", "notifications/x"} {
		body := request("7", method)
		if method == "notifications/x" {
			body = `{"jsonrpc":"2.0","method":"notifications/x"}`
		}
		a := g.do("POST", body, bearer...)
		if a.header.Get("Ratelimit") != "limit=10" {
			t.Errorf("%s: header %v", method, a.header)
		}
		if failed := a.status == 429; failed != (a.header.Get("Retry-After") == "2") {
			t.Errorf("%s: %d, Retry-After %q", method, a.status, a.header.Get("Retry-After"))
		}
	}
}

// Refusals of notifications are said by the status; what went wrong with one that
// was accepted concerns nobody.
func TestNotificationsThatFail(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if strings.HasSuffix(c.Method.Name, "refused") {
			return nil, rpc.Errorf(rpc.OriginRefused, "no")
		}
		return nil, errors.New("defect")
	}})
	bearer := g.session()
	if a := g.do("POST", `{"jsonrpc":"2.0","method":"notifications/refused"}`, bearer...); a.status != 403 || codeOf(t, a.body) != -32600 {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
	if a := g.do("POST", `{"jsonrpc":"2.0","method":"notifications/broken"}`, bearer...); a.status != 202 || a.body != "" {
		t.Errorf("broken: %d %s", a.status, a.body)
	}
}

// Ids are bytes: the answer has the one that was sent.
func TestIDsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Name == "x/error" {
			return nil, rpc.Errorf(rpc.InvalidParams, "no")
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	bearer := g.session()
	for _, id := range []string{
		`1`, `"1"`, `0`, `-0`, `1.0`, `1e0`, `9007199254740993`, `18446744073709551616`, `-9223372036854775809`, `0.1E+2`,
		`"é"`, `"\u00e9"`, `"\"\\"`, `""`, `"a b"`, `"<&>"`, `"` + strings.Repeat("x", 1000) + `"`,
	} {
		for _, method := range []string{"x/ok", "x/error"} {
			a := g.do("POST", request(id, method), bearer...)
			if !strings.HasPrefix(a.body, `{"jsonrpc":"2.0","id":`+id+`,`) {
				t.Errorf("%s %s: %s", method, id, a.body)
			}
		}
	}
}

// locked is a buffer that many goroutines may write to.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// An upstream that breaks off is named as what failed, although the end of its connection is the cause.
func TestBrokenAnswersAreNoEnd(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(endless(func() (*rpc.Message, error) {
			return nil, rpc.Errorf(rpc.UpstreamFailed, "upstream broke off its answer: %w", io.EOF)
		})), nil
	}})
	body, header := modern("7", "x/y", "")
	if a := g.do("POST", body, header...); !strings.Contains(a.body, "broke off") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
