//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	headgateTarget   = "headgate"
	policiesTarget   = "policies"
	observedTarget   = "observed"
	everythingTarget = "everything"
)

// benchKey is the API key that calls bear where there is authentication.
const benchKey = "a-key-of-the-benchmark-0123456789"

// policies are what an organisation switches on, with limits that nothing reaches.
const policies = `
auth:
  keys: [{id: bench, key: ` + benchKey + `, org: acme, team: load, user: generator, scopes: ["mcp:*"]}]
limits:
  - {name: key-rate, scope: key, unit: requests, rate: 100000000/s}
  - {name: org-day, scope: org, unit: requests, limit: 1000000000, per: day}
  - {name: team-day, scope: team, unit: requests, limit: 1000000000, per: day}
  - {name: key-day, scope: key, unit: requests, limit: 1000000000, per: day}
  - {name: user-day, scope: user, unit: requests, limit: 1000000000, per: day}
cache: {max_size: 16MiB, tools: {allow: ["*__` + echoTool + `"], ttl: 1m}}
`

// observed is what operators switch on to see what goes on, with the collector's address to be filled in.
const observed = `
telemetry:
  logs: {access: all, file: {path: access.log}}
  traces: {otlp: "http://%s", sample: 5%%}
  metrics: {prometheus: true}
`

// gatewayTargets are the ways through Headgate.
var gatewayTargets = []string{headgateTarget, policiesTarget, observedTarget, everythingTarget}

// buildHeadgate builds the gateway when it is a target and no binary was given.
func buildHeadgate(ctx context.Context, o *options) error {
	if !slices.ContainsFunc(o.targets, func(target string) bool { return slices.Contains(gatewayTargets, target) }) {
		return nil
	}
	if o.headgate != "" {
		var err error
		o.headgate, err = absolute(o.headgate)
		return err
	}
	o.headgate = filepath.Join(o.dir, "headgate")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", o.headgate, "github.com/headgate/headgate/cmd/headgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build headgate: %w\n%s", err, text)
	}
	return nil
}

// gateway is a running Headgate.
type gateway struct {
	*child
	address string // of clients
	admin   string
	dir     string // what it writes
}

// stop ends the gateway and removes what it has written, which may be a line for each call.
func (g *gateway) stop() {
	g.child.stop()
	_ = os.RemoveAll(g.dir) // the benchmark's own folder, in which it is, is removed at the end
}

// startGateway starts Headgate in front of the upstreams and waits until it is ready. era pins the upstreams' era; empty
// leaves it to be found out. The rest is appended to the configuration.
func startGateway(ctx context.Context, o *options, upstreams []string, era, rest string) (*gateway, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	g := &gateway{address: addresses[0], admin: addresses[1]}
	dir, err := os.MkdirTemp(o.dir, "gateway")
	if err != nil {
		return nil, err
	}
	g.dir = dir
	file := filepath.Join(dir, "headgate.yaml")
	if err := os.WriteFile(file, gatewayConfig(g, dir, upstreams, era, rest), 0o600); err != nil {
		return nil, err
	}
	if g.child, err = startChild(ctx, dir, "gateway", nil, o.headgate, "serve", "-c", file); err != nil {
		return nil, err
	}
	if err := g.awaitReady(ctx); err != nil {
		g.stop()
		return nil, fmt.Errorf("headgate: %w: %s", err, g.lastWords())
	}
	return g, nil
}

// gatewayConfig returns the configuration: the upstreams and what is given, everything else as it comes.
func gatewayConfig(g *gateway, dir string, upstreams []string, era, rest string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\nlisten: %s\nadmin: {listen: %s}\ndata_dir: %s\n", g.address, g.admin, filepath.Join(dir, "data"))
	if len(upstreams) > 0 {
		text.WriteString("upstreams:\n")
	}
	for i, address := range upstreams {
		fmt.Fprintf(&text, "  %s:\n    url: http://%s/mcp\n", upstreamName(i), address)
		if era != "" {
			fmt.Fprintf(&text, "    era: %s\n", era)
		}
	}
	return []byte(text.String() + rest)
}

func upstreamName(i int) string { return fmt.Sprintf("u%d", i) }

// awaitReady waits until the gateway says that it is ready.
func (g *gateway) awaitReady(ctx context.Context) error {
	const patience, interval = 30 * time.Second, 50 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNotReady)
	defer cancel()
	for {
		if status, _ := get(ctx, "http://"+g.admin+"/readyz"); status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(interval):
		}
	}
}

// freeAddresses returns addresses of the loopback interface that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // only at the end, so that no address comes twice
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
