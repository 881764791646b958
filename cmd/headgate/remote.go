package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// remoteName is what the adapter calls the gateway in its errors; it is taken out of them again.
const remoteName = "gateway"

// closeTimeout bounds saying goodbye.
const closeTimeout = 2 * time.Second

// target is where the flags of a client command point.
type target struct {
	url     string
	token   config.Secret // empty for none
	timeout time.Duration
}

// defaultURL is where a gateway serves that was not told otherwise.
func defaultURL() string { return "http://" + config.Default().Listen + config.DefaultEndpoint }

// register gives a command the flags of a client. The address is that of a gateway, but any MCP server over HTTP will do. What it proves
// itself with comes from the environment: other users of the machine can see a flag.
func (t *target) register(cmd *cobra.Command, a *app) {
	address, _ := a.env("HEADGATE_URL")
	if address == "" {
		address = defaultURL()
	}
	token, _ := a.env("HEADGATE_TOKEN")
	t.token = config.Secret(token)
	cmd.Flags().StringVar(&t.url, "url", address, "the gateway's endpoint; HEADGATE_URL changes the default")
	cmd.Flags().DurationVar(&t.timeout, "timeout", 2*time.Minute, "how long to wait for an answer")
}

// remote is a gateway that runs somewhere, seen as a client sees it.
type remote struct {
	target
	server *mcpserver.Server
}

// dial makes a remote. Nothing is sent yet.
func dial(t target) (*remote, error) {
	var headers map[string]config.Secret
	if t.token != "" {
		headers = map[string]config.Secret{"Authorization": "Bearer " + t.token}
	}
	server, err := mcpserver.New(
		config.Upstream{Name: remoteName, URL: t.url, Transport: "http", Era: "auto", Timeout: t.timeout, Headers: headers},
		mcpserver.Deps{
			Log: slog.New(slog.DiscardHandler), HTTP: upstream.NewClient(upstream.ClientConfig{}),
			Identity: mcpserver.Identity{Name: "headgate-cli", Version: buildOf().Version},
		})
	if err != nil {
		return nil, usage("--url %s: %v", t.url, err)
	}
	return &remote{t, server}, nil
}

// close ends the session, if there is one.
func (r *remote) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = r.server.Close(ctx) // the answer is there already
}

// ask sends a request and returns the response, which may be an error. Notifications that come before it are passed to heard.
func (r *remote) ask(ctx context.Context, request *rpc.Message, about rpc.Target, heard func(*rpc.Message)) (*rpc.Message, error) {
	method, _ := mcp.Lookup(request.Method, mcp.LatestModern)
	reply, err := r.server.Handle(ctx, &rpc.Call{
		Message: request, Method: method, Dialect: rpc.MCP, Received: time.Now(), Target: about,
		Client: rpc.Client{Revision: mcp.LatestModern, Era: rpc.Modern, LogLevel: "info", Capabilities: json.RawMessage("{}")}, // what the server logs is shown
	})
	if e, ok := errors.AsType[*rpc.Error](err); ok && errors.Is(err, mcp.ErrMirrors) { // which this caller mends itself
		return rpc.NewError(request.ID, &rpc.WireError{Code: mcp.CodeHeaderMismatch, Message: e.Message}), nil
	}
	if err != nil {
		return nil, r.failure(err)
	}
	defer reply.Close() //nolint:errcheck // the response has been read; nothing is left to fail
	for {
		m, err := reply.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, r.failure(rpc.Errorf(rpc.UpstreamFailed, "it did not answer"))
		case err != nil:
			return nil, r.failure(err)
		case m.IsResponse():
			return m.Clone(), nil
		default:
			heard(m)
		}
	}
}
