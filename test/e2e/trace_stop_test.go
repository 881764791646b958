package e2e

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// What was traced is sent before the process ends.
func TestTracesAreSentWhenTheGatewayStops(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	_, url := fakeUpstream(t, fake.Config{})
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	text := fmt.Sprintf("version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\nshutdown: {grace: 0s, drain: 5s}\n", t.TempDir()) +
		tracedTo(c, "") + "upstreams:\n" + httpUpstream("up", url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(t.Context(), cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(logTo{t}, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up__echo",`+modernMeta+`}}`, modernHeaders("tools/call", "up__echo"))
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if count(c.spans, asked, "tools/call up__echo") != 1 || count(c.spans, asks, "tools/call echo") != 1 {
		t.Errorf("spans:\n%s", picture(c.spans))
	}
}
