package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

func TestMain(m *testing.M) {
	// net/http keeps a connection for half a second after it hung up.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	modernRevision = "2026-07-28"
	legacyRevision = "2025-11-25"
)

// gate is an edge on a real server, in front of a handler made for a test.
type gate struct {
	tb       testing.TB
	addr     string
	url      string
	handler  http.Handler
	sessions *session.Registry
	client   *http.Client
}

type setup struct {
	edge    edge.Config
	session session.Config
	handle  rpc.HandlerFunc       // everything but initialize and what sessions hold
	refuse  func(*rpc.Call) error // stands for a policy; nil refuses nothing
	log     io.Writer
	memory  bool // connections are pipes in memory, as tests of time need them
}

// open starts a gate that ends with the test.
func open(tb testing.TB, s setup) *gate {
	tb.Helper()
	if s.log == nil {
		s.log = io.Discard
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys, err := seal.Ephemeral()
	if err != nil {
		tb.Fatal(err)
	}
	sessions := session.New(s.session, keys, log)
	handler := edge.New(s.edge, edge.Deps{
		Handler:  identify(refusing(s.refuse, sessions.Guard(answering(sessions, s.handle)))),
		Sessions: sessions, Endpoints: func(path string) bool { return path == "/mcp" || path == "/mcp/one" || path == infer.Path }, Log: log,
	})
	server := edge.Plain(tb.Context(), handler, log)
	l, dial := listen(tb, s.memory)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, DialContext: dial}
	g := &gate{
		tb: tb, handler: handler, addr: l.Addr().String(), url: "http://" + l.Addr().String() + "/mcp", sessions: sessions,
		client: &http.Client{Transport: transport},
	}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		cut, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
		cancel()
		if err := handler.Close(cut); err != nil {
			tb.Errorf("close edge: %v", err)
		}
		if err := sessions.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Errorf("close sessions: %v", err)
		}
		if err := server.Close(); err != nil {
			tb.Errorf("close server: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return g
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func listen(tb testing.TB, memory bool) (net.Listener, dialer) {
	tb.Helper()
	if memory {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		return l, l.dial
	}
	return loopback(tb), (&net.Dialer{}).DialContext
}

func loopback(tb testing.TB) net.Listener {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// identify stands for authentication.
func identify(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Principal.User = c.Header.Get("X-User")
		return next.Handle(ctx, c)
	})
}

func refusing(refuse func(*rpc.Call) error, next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if refuse != nil {
			if err := refuse(c); err != nil {
				return nil, err
			}
		}
		return next.Handle(ctx, c)
	})
}

// answering stands for the router.
func answering(sessions *session.Registry, rest rpc.HandlerFunc) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch {
		case c.Method.Dest == rpc.Holder:
			return sessions.Handle(ctx, c)
		case c.Dialect == rpc.Infer && c.Method.Name == infer.Initialize:
			return opening(ctx, sessions, c)
		case c.Method.Name == mcp.Initialize:
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"protocolVersion":"`+string(c.Client.Revision)+`"}`))), nil
		case rest != nil:
			return rest(ctx, c)
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"ok":true}`))), nil
	})
}

// opening answers an initialize of the inference dialect.
func opening(ctx context.Context, sessions *session.Registry, c *rpc.Call) (*rpc.Reply, error) {
	if c.Client.Session != "" {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"models":[]}`))), nil
	}
	id, err := sessions.Open(ctx, c.Client, c.Principal, c.Endpoint, nil)
	if err != nil {
		return nil, err
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"models":[],"sessionId":"`+id+`"}`))), nil
}

// tape is a reply that is played from a channel. Closing the channel ends it.
type tape struct {
	ctx      context.Context
	messages <-chan *rpc.Message
	answers  chan<- *rpc.Message
	once     sync.Once
	closed   chan struct{}
}

func play(ctx context.Context, messages <-chan *rpc.Message, answers chan<- *rpc.Message) *tape {
	return &tape{ctx: ctx, messages: messages, answers: answers, closed: make(chan struct{})}
}

func (s *tape) Next() (*rpc.Message, error) {
	select {
	case m, ok := <-s.messages:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-s.closed:
		return nil, io.EOF
	}
}

func (s *tape) Answer(m *rpc.Message) error {
	if s.answers == nil {
		return rpc.ErrNoQuestion
	}
	s.answers <- m
	return nil
}

func (s *tape) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// answer is an HTTP answer read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	events []string // data of the events, if it was a stream
}

// do sends a request. The header list is name, value, name, value, …: "-" as a value
// removes a header, "+" before a name repeats it, and "Path" is the request's path.
func (g *gate) do(verb, body string, header ...string) answer {
	g.tb.Helper()
	resp := g.send(g.tb.Context(), verb, body, header...)
	defer resp.Body.Close()
	a, err := read(g.tb, resp)
	if err != nil {
		g.tb.Fatalf("%s %s: read: %v", verb, body, err)
	}
	return a
}

func read(tb testing.TB, resp *http.Response) (answer, error) {
	tb.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		a.events = events(tb, bytes.NewReader(text))
	}
	return a, nil
}

// try sends a POST that may fail.
func (g *gate) try(ctx context.Context, body string, header ...string) (answer, error) {
	resp, err := g.client.Do(g.request(ctx, "POST", body, header...))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	return read(g.tb, resp)
}

// send sends a request and returns as soon as the answer begins.
func (g *gate) send(ctx context.Context, verb, body string, header ...string) *http.Response {
	g.tb.Helper()
	resp, err := g.client.Do(g.request(ctx, verb, body, header...))
	if err != nil {
		g.tb.Fatalf("%s %s: %v", verb, body, err)
	}
	return resp
}

func (g *gate) request(ctx context.Context, verb, body string, header ...string) *http.Request {
	g.tb.Helper()
	req, err := http.NewRequestWithContext(ctx, verb, g.url, strings.NewReader(body))
	if err != nil {
		g.tb.Fatal(err)
	}
	if body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	if verb == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		switch name, value := header[i], header[i+1]; {
		case value == "-":
			req.Header.Del(name)
		case name == "Path":
			if req.URL, err = req.URL.Parse(value); err != nil {
				g.tb.Fatal(err)
			}
		case name[0] == '+':
			req.Header.Add(name[1:], value)
		default:
			req.Header.Set(name, value)
		}
	}
	return req
}

// session opens a session and returns the header that bears it.
func (g *gate) session(header ...string) []string {
	g.tb.Helper()
	a := g.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+legacyRevision+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, header...)
	id := a.header.Get("Mcp-Session-Id")
	if a.status != http.StatusOK || id == "" {
		g.tb.Fatalf("initialize: %d %s", a.status, a.body)
	}
	return append([]string{"Mcp-Session-Id", id, "Mcp-Protocol-Version", legacyRevision}, header...)
}

// request is a legacy request.
func request(id, method string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `"}`
}

// modern is a modern request with the headers that mirror it.
func modern(id, method, params string) (body string, header []string) {
	if params != "" {
		params += ","
	}
	body = `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params + meta(modernRevision) + `}}`
	header = []string{"Mcp-Protocol-Version", modernRevision, "Mcp-Method", method}
	var p struct{ Params struct{ Name, URI string } }
	if json.Unmarshal([]byte(body), &p) == nil {
		if name := p.Params.Name + p.Params.URI; name != "" {
			header = append(header, "Mcp-Name", mcp.EncodeHeader(name))
		}
	}
	return body, header
}

func meta(revision string) string {
	return `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + revision + `","io.modelcontextprotocol/clientCapabilities":{}}`
}

func events(tb testing.TB, r io.Reader) []string {
	tb.Helper()
	var out []string
	in := frame.NewSSEReader(r, 1<<24)
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			tb.Fatalf("event stream: %v", err)
		}
		if len(ev.Data) > 0 { // else it primes
			out = append(out, string(ev.Data))
		}
	}
}

// failure is the error of an answer's JSON body.
type failure struct {
	ID    json.RawMessage `json:"id"`
	Error *struct {
		Code    int64          `json:"code"`
		Message string         `json:"message"`
		Data    map[string]any `json:"data"`
	} `json:"error"`
}

func failureOf(tb testing.TB, text string) failure {
	tb.Helper()
	var f failure
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		tb.Fatalf("body %q: %v", text, err)
	}
	return f
}

// codeOf returns the code of an error body, 0 if the body is no error.
func codeOf(tb testing.TB, text string) int64 {
	tb.Helper()
	if f := failureOf(tb, text); f.Error != nil {
		return f.Error.Code
	}
	return 0
}

// dial opens a raw connection to the gate.
func (g *gate) dial() (net.Conn, *bufio.Reader) {
	g.tb.Helper()
	c, err := (&net.Dialer{}).DialContext(g.tb.Context(), "tcp", g.addr)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		g.tb.Fatal(err)
	}
	return c, bufio.NewReader(c)
}
