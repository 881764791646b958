package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// direct is the way without a gateway: each engine in turn.
const direct = "direct in turn"

// balances are the ways through the gateway: the configuration of the model.
var balances = map[string]string{
	"weighted":                 "balance: weighted, prefix_affinity: 0B",
	"expected wait":            "balance: expected-wait, prefix_affinity: 0B",
	"expected wait and prefix": "balance: expected-wait",
}

func wayNames() []string {
	return []string{direct, "weighted", "expected wait", "expected wait and prefix"}
}

// cluster is the engines of one run.
type cluster []*engine.Server

func startCluster(ctx context.Context, o options) (cluster, error) {
	var c cluster
	for i := range o.engines {
		slow := 1.0
		if i == o.engines-1 {
			slow = o.slow
		}
		server, err := engine.Listen(ctx, "127.0.0.1:0", engineConfig(slow))
		if err != nil {
			c.stop()
			return nil, err
		}
		c = append(c, server)
	}
	return c, nil
}

func (c cluster) stop() {
	for _, server := range c {
		server.Kill()
	}
}

// startGateway runs a gateway in front of a cluster and returns the URL at which models are invoked.
func startGateway(ctx context.Context, c cluster, way string) (url string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "engines")
	if err != nil {
		return "", nil, err
	}
	var backends []string
	for _, server := range c {
		backends = append(backends, fmt.Sprintf("{kind: openai, url: %q, prompts: completions}", server.URL+"/v1"))
	}
	text := fmt.Sprintf("version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\n"+
		"models:\n  sim: {%s, slow_start: 0s, deadlines: {first_token: %s}, backends: [%s]}\n",
		filepath.Join(dir, "data"), balances[way], patience, strings.Join(backends, ", "))
	file := filepath.Join(dir, "headgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return "", nil, err
	}
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: slog.New(slog.DiscardHandler), Version: "load", Environ: os.Environ()})
	if err != nil {
		return "", nil, err
	}
	stop = func() error {
		defer os.RemoveAll(dir)
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer done()
		return g.StopNow(ctx)
	}
	if err := g.Start(ctx); err != nil {
		_ = stop() // it says why it did not start
		return "", nil, err
	}
	g.Warm(ctx)
	return "http://" + g.Addr() + "/rpc", stop, nil
}
