//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/headgate/headgate/test/fake/engine"
)

// Roles of children.
const (
	engineRole     = "engine"
	modelProxyRole = "modelproxy"
)

const (
	streamModel = "sim"
	enginePath  = "/v1/chat/completions"
)

// streamTarget is one way to the engine.
type streamTarget struct {
	name    string
	url     string
	header  http.Header
	dialect dialect
	process *child // in the middle; nil when there is none
	stop    func()
}

// streamStarters are the targets that have streams of tokens.
var streamStarters = map[string]func(ctx context.Context, o *options, engine string) (*streamTarget, error){
	directTarget: func(_ context.Context, _ *options, engine string) (*streamTarget, error) {
		return &streamTarget{name: directTarget, url: "http://" + engine + enginePath, dialect: openAI, stop: func() {}}, nil
	},
	proxyTarget: func(ctx context.Context, o *options, engine string) (*streamTarget, error) {
		process, addresses, err := startRole(ctx, o.dir, modelProxyRole, engine)
		if err != nil {
			return nil, err
		}
		return &streamTarget{name: proxyTarget, url: "http://" + addresses[0] + enginePath, dialect: openAI, process: process, stop: process.stop}, nil
	},
	headgateTarget: startModels(headgateTarget, ""),
	policiesTarget: startModels(policiesTarget, modelPolicies),
}

// modelPolicies are what an organisation switches on for models, with limits that nothing reaches.
const modelPolicies = `
auth:
  keys: [{id: bench, key: ` + benchKey + `, org: acme, team: load, user: generator, scopes: ["infer:*"]}]
limits:
  - {name: key-rate, scope: key, unit: requests, rate: 100000000/s}
  - {name: org-tokens, scope: org, unit: tokens, limit: 1000000000000, per: day}
  - {name: user-tokens, scope: user, unit: tokens, limit: 1000000000000, per: day}
`

// startModels starts Headgate in front of the engine, with more configuration.
func startModels(name, more string) func(context.Context, *options, string) (*streamTarget, error) {
	return func(ctx context.Context, o *options, engine string) (*streamTarget, error) {
		models := fmt.Sprintf("models:\n  %s: {backends: [{kind: openai, url: \"http://%s/v1\"}]}\n", streamModel, engine)
		g, err := startGateway(ctx, o, nil, "", models+more)
		if err != nil {
			return nil, err
		}
		return &streamTarget{
			name: name, url: "http://" + g.address + "/rpc", dialect: ours, process: g.child, stop: g.stop,
			header: http.Header{"Authorization": {"Bearer " + benchKey}},
		}, nil
	}
}

// serveEngine is the role of the engine, with room for as many streams as the argument says. It ends with its standard input.
func serveEngine(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: engine STREAMS")
	}
	streams, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	server, err := engine.Listen(ctx, "127.0.0.1:0", engine.Config{Models: []string{streamModel}, Slots: 2 * streams, TokenRate: streamRate})
	if err != nil {
		return err
	}
	defer server.Kill()
	root, err := url.Parse(server.URL)
	if err != nil {
		return err
	}
	if err := announce(stdout, []string{root.Host}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}
