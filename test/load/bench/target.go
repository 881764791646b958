//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/headgate/headgate/test/load/generator"
)

// target is one way to the upstreams, ready to be called.
type target struct {
	name   string
	routes []generator.Route
	header http.Header // that every call bears
	// process is the process in the middle; nil when there is none.
	process *child
	stop    func()
}

// starter starts what a target needs in front of these upstreams.
type starter func(ctx context.Context, o *options, upstreams []string) (*target, error)

// Names of the targets that the report refers to.
const (
	directTarget = "direct"
	proxyTarget  = "proxy"
)

// starters are the targets that can be measured, by name.
var starters = map[string]starter{
	directTarget:     startDirect,
	proxyTarget:      startProxyTarget,
	headgateTarget:   startPlain,
	policiesTarget:   startWithPolicies,
	observedTarget:   startObserved(observedTarget, ""),
	everythingTarget: startObserved(everythingTarget, policies),
}

// startDirect needs nothing: connections are spread over the upstreams.
func startDirect(_ context.Context, _ *options, upstreams []string) (*target, error) {
	t := &target{name: directTarget, stop: func() {}}
	for _, address := range upstreams {
		t.routes = append(t.routes, generator.Route{URL: "http://" + address + "/mcp", Tool: echoTool})
	}
	return t, nil
}

// startProxyTarget starts the ReverseProxy; each connection calls all upstreams in turn, by their paths.
func startProxyTarget(ctx context.Context, o *options, upstreams []string) (*target, error) {
	process, addresses, err := startRole(ctx, o.dir, proxyRole, upstreams...)
	if err != nil {
		return nil, err
	}
	t := &target{name: proxyTarget, process: process, stop: process.stop}
	for i := range upstreams {
		t.routes = append(t.routes, generator.Route{URL: "http://" + addresses[0] + proxyPath(i), Tool: echoTool})
	}
	return t, nil
}

// startPlain starts Headgate as it comes.
func startPlain(ctx context.Context, o *options, upstreams []string) (*target, error) {
	return startGatewayTarget(ctx, o, headgateTarget, upstreams, "")
}

// startWithPolicies starts it with policies.
func startWithPolicies(ctx context.Context, o *options, upstreams []string) (*target, error) {
	return startGatewayTarget(ctx, o, policiesTarget, upstreams, policies)
}

// startObserved starts it with all that shows what goes on, what that is sent to, and more that is given.
func startObserved(name, more string) starter {
	return func(ctx context.Context, o *options, upstreams []string) (*target, error) {
		collector, addresses, err := startRole(ctx, o.dir, collectorRole)
		if err != nil {
			return nil, err
		}
		t, err := startGatewayTarget(ctx, o, name, upstreams, more+fmt.Sprintf(observed, addresses[0]))
		if err != nil {
			collector.stop()
			return nil, err
		}
		gateway := t.stop
		t.stop = func() {
			gateway()
			collector.stop()
		}
		return t, nil
	}
}

// startGatewayTarget starts Headgate. One upstream is called at the endpoint of its own, several at the endpoint that
// merges them, where each connection calls the tools of all upstreams in turn, by canonical names. The rest of its
// configuration is as given. Calls bear a key, which counts where policies ask for one.
func startGatewayTarget(ctx context.Context, o *options, name string, upstreams []string, rest string) (*target, error) {
	g, err := startGateway(ctx, o, upstreams, "", rest)
	if err != nil {
		return nil, err
	}
	t := &target{name: name, process: g.child, stop: g.stop, header: http.Header{"Authorization": {"Bearer " + benchKey}}}
	if len(upstreams) == 1 {
		t.routes = []generator.Route{{URL: fmt.Sprintf("http://%s/mcp/%s", g.address, upstreamName(0)), Tool: echoTool}}
		return t, nil
	}
	for i := range upstreams {
		t.routes = append(t.routes, generator.Route{URL: "http://" + g.address + "/mcp", Tool: upstreamName(i) + "__" + echoTool})
	}
	return t, nil
}
