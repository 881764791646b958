package auth

import (
	"context"
	"crypto/tls"
	"flag"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// full runs statistical tests with all their samples.
var full = flag.Bool("full", false, "run statistical tests with all their samples")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logTo writes the log of what is tested into the test's log.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(string(p))
	return len(p), nil
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(logTo{t}, nil)) }

// endpoints are those of the gateway in tests.
func endpoints(path string) bool { return path == "/mcp" || path == "/mcp/one" || path == "/mcp/two" }

// newGate makes a gate that ends with the test.
func newGate(t testing.TB, cfg *config.Auth, change ...func(*Deps)) *Gate {
	t.Helper()
	deps := Deps{Log: testLog(t), Endpoints: endpoints}
	for _, f := range change {
		f(&deps)
	}
	g, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// callWith is a call with header fields, NAME VALUE NAME VALUE ….
func callWith(fields ...string) *rpc.Call {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "tools/call", nil), Method: &rpc.Method{Name: "tools/call"}, Dialect: rpc.MCP,
		Received: time.Now(), Endpoint: "/mcp", Host: "gateway.example.com", Header: h, Remote: netip.MustParseAddrPort("192.0.2.7:4711"),
	}
}

func bearing(token string) *rpc.Call { return callWith("Authorization", "Bearer "+token) }

// over gives a call the connection it came on.
func over(c *rpc.Call, state *tls.ConnectionState) *rpc.Call {
	c.TLS = state
	return c
}

// enter sends a call through a gate and returns what became of it.
func enter(t testing.TB, g *Gate, c *rpc.Call) (rpc.Principal, *rpc.Error) {
	t.Helper()
	var got *rpc.Principal
	next := rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		got = &c.Principal
		return rpc.Respond(nil), nil
	})
	_, err := g.Authenticate(next).Handle(t.Context(), c)
	switch {
	case err == nil && got != nil:
		return *got, nil
	case err == nil || got != nil:
		t.Fatalf("error %v, served %v", err, got != nil)
	}
	return rpc.Principal{}, rpc.AsError(err)
}

// accepted fails the test if a call does not get in.
func accepted(t testing.TB, g *Gate, c *rpc.Call) rpc.Principal {
	t.Helper()
	p, err := enter(t, g, c)
	if err != nil {
		t.Errorf("refused: %v", err)
	}
	return p
}

// refusedWith fails the test if a call gets in, or is refused in another way.
func refusedWith(t testing.TB, g *Gate, c *rpc.Call, code rpc.Code) *rpc.Error {
	t.Helper()
	p, err := enter(t, g, c)
	if err == nil {
		t.Errorf("accepted as %+v, want %s", p, code)
		return &rpc.Error{}
	}
	if err.Code != code {
		t.Errorf("refused with %v, want %s", err, code)
	}
	return err
}
