package fault

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

// startGateway runs a gateway on free loopback ports with the configuration that yaml adds.
func startGateway(t *testing.T, yaml string) *gateway.Gateway {
	t.Helper()
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + filepath.Join(t.TempDir(), "data") +
		"\nshutdown: {grace: 0s, drain: 5s}\n" + yaml
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatalf("configuration:\n%s\n%v", text, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: logger(t), Version: "test", Environ: os.Environ()})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		stop, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		if err := g.StopNow(stop); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	warm, done := context.WithTimeout(ctx, 60*time.Second)
	defer done()
	g.Warm(warm)
	return g
}

// logger shows the gateway's log with "go test -v"; hostile upstreams fill it.
func logger(t *testing.T) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// upstreamEntry writes the configuration of an upstream. An address is a URL or a command line.
func upstreamEntry(name, era, url string, command []string, more ...string) string {
	where := fmt.Sprintf("url: %q", url)
	if command != nil {
		args := make([]string, 0, len(command))
		for _, a := range command[1:] {
			args = append(args, fmt.Sprintf("%q", a))
		}
		where = fmt.Sprintf("command: %q, args: [%s]", command[0], strings.Join(args, ", "))
	}
	return fmt.Sprintf("  %s: {%s}\n", name, strings.Join(append([]string{where, "era: " + era}, more...), ", "))
}

// self is the command line of this program in a role.
func self(role string, args ...string) []string {
	return append([]string{os.Args[0], "-role=" + role}, args...)
}
