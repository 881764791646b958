package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// scriptVariable makes the test binary be one of the scripted servers instead.
const scriptVariable = "MCPSERVER_TEST_SCRIPT"

func TestMain(m *testing.M) {
	if name := os.Getenv(scriptVariable); name != "" {
		scripts[name]()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// legacyClient and modernClient are clients that can be asked nothing.
func legacyClient() rpc.Client {
	return rpc.Client{
		Era: rpc.Legacy, Revision: mcp.LatestLegacy, Session: "s1",
		Info: json.RawMessage(`{"name":"tester","version":"1"}`), Capabilities: json.RawMessage(`{}`),
	}
}

func modernClient() rpc.Client {
	return rpc.Client{
		Era: rpc.Modern, Revision: mcp.LatestModern,
		Info: json.RawMessage(`{"name":"tester","version":"1"}`), Capabilities: json.RawMessage(`{}`),
	}
}

// asking is a legacy client that a server may ask things.
func asking(session string) rpc.Client {
	c := legacyClient()
	c.Session, c.Capabilities = session, json.RawMessage(`{"elicitation":{},"roots":{"listChanged":true}}`)
	return c
}

// modernMeta is what a modern client puts into _meta.
const modernMeta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
	`"io.modelcontextprotocol/clientInfo":{"name":"tester","version":"1"}`

// scripted is the configuration of an upstream that is one of the scripted servers.
func scripted(script string) config.Upstream {
	return config.Upstream{
		Name: "files", Command: os.Args[0], Era: "auto", Timeout: 20 * time.Second,
		Env: map[string]string{scriptVariable: script, "GORACE": "atexit_sleep_ms=0"},
	}
}

// newServer makes a server that is closed at the end of the test.
func newServer(t *testing.T, cfg config.Upstream) *Server {
	t.Helper()
	s, _ := newLoggedServer(t, cfg)
	return s
}

func newLoggedServer(t *testing.T, cfg config.Upstream) (*Server, *logged) {
	t.Helper()
	log := &logged{}
	client := upstream.NewClient(upstream.ClientConfig{})
	s, err := New(cfg, Deps{
		Log:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		HTTP: client, Identity: Identity{Name: "headgate", Version: "test"}, Environ: os.Environ(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		client.CloseIdle()
	})
	return s, log
}

// logged is what a server logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newCall makes a call of a message as the router would.
func newCall(t *testing.T, client rpc.Client, text string) *rpc.Call {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	method, ok := mcp.Lookup(m.Method, client.Revision)
	if !ok {
		method = mcp.Foreign(m.Method)
	}
	c := &rpc.Call{
		Message: m, Method: method, Dialect: rpc.MCP, Received: time.Now(),
		Client: client, Record: &rpc.Record{},
	}
	if method.Subject != "" {
		c.Target.Own, _ = m.Text(string(method.Subject))
	}
	return c
}

// toolCall is the text of a tools/call.
func toolCall(id, tool, arguments string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments + `}}`
}

// modernToolCall is the same as a modern client writes it.
func modernToolCall(id, tool, arguments string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments +
		`,"_meta":{` + modernMeta + `}}}`
}

// answer is all that came back for a call.
type answer struct {
	before   []*rpc.Message // notifications and questions
	response *rpc.Message   // as it goes to the client
	revision rpc.Revision
}

// run makes a call and pulls its reply to the end.
func run(ctx context.Context, s rpc.Handler, c *rpc.Call) (answer, error) {
	reply, err := s.Handle(ctx, c)
	if err != nil {
		return answer{}, err
	}
	defer reply.Close()
	a := answer{revision: reply.Revision}
	for {
		m, err := reply.Next()
		switch {
		case errors.Is(err, io.EOF):
			return a, nil
		case err != nil:
			return a, err
		case m.IsResponse():
			if a.response != nil {
				return a, fmt.Errorf("a second response: %s", m.AppendTo(nil))
			}
			a.response = m.Clone()
		default:
			a.before = append(a.before, m.Clone())
		}
	}
}

// mustRun is run for calls that succeed.
func mustRun(t *testing.T, s rpc.Handler, c *rpc.Call) answer {
	t.Helper()
	a, err := run(t.Context(), s, c)
	if err != nil {
		t.Fatalf("%s: %v", c.Message.Method, err)
	}
	if a.response == nil {
		t.Fatalf("%s: no response", c.Message.Method)
	}
	return a
}

// mustFail is run for calls that end in an error of the given kind.
func mustFail(t *testing.T, s *Server, c *rpc.Call, code rpc.Code) *rpc.Error {
	t.Helper()
	a, err := run(t.Context(), s, c)
	if err == nil {
		t.Fatalf("no error but %s", a.response.AppendTo(nil))
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Code != code || e.Upstream != s.Name() {
		t.Fatalf("got %#v (%v), want code %v of upstream %q", err, err, code, s.Name())
	}
	return e
}

// textOf returns the bytes of a message.
func textOf(m *rpc.Message) string { return string(m.AppendTo(nil)) }

// eventually waits for something that another process or goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

var discardLog = slog.New(slog.DiscardHandler)
