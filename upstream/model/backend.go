package model

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// Backend is one server that runs a model, or stands in front of one. Its methods may be called concurrently.
type Backend interface {
	// Handle makes an invocation: one attempt at it, at this server.
	rpc.Handler
	// Probe asks whether the server is there and can serve, without having it compute anything.
	Probe(ctx context.Context) error
	// Warm has the server make one token, so that the model is loaded when it returns. The model is the name by which
	// calls go to the server.
	Warm(ctx context.Context, model string) error
	// Close ends what the backend holds beyond calls. Those in flight go on.
	Close() error
}

// BackendDeps is what a backend needs of the gateway.
type BackendDeps struct {
	Model     string // the name of the entry in the configuration, which errors say
	Log       *slog.Logger
	MaxResult int64  // of an answer in bytes
	Agent     string // what the gateway calls itself toward servers
	// Tokens guesses how many tokens params of so many bytes are to a model, by what was learned from others. Without it a token is four bytes
	// of the prompt, which is also the least that is taken for one.
	Tokens func(model string, bytes int) int64
	// HTTP makes the requests. Without it each backend has a client of its own, as it should where connections are bound to credentials.
	HTTP *upstream.Client
	// Tool makes a call of a tool at an MCP upstream, for backends of kind mcp. The call's target has the upstream and the tool's own
	// name there; nothing else of it is the client's.
	Tool rpc.Handler
}

// NewBackend makes a backend of the kind that the configuration says. It connects to nothing yet.
func NewBackend(cfg config.ModelBackend, deps BackendDeps) (Backend, error) {
	kinds := map[string]func(config.ModelBackend, BackendDeps) (Backend, error){
		"openai": newOpenAI,
		"ollama": newOllama,
		"rpc":    newRelay,
		"mcp":    newTool,
	}
	kind, ok := kinds[cfg.Kind]
	if !ok {
		return nil, fmt.Errorf("model %q: kind %q of a backend is not known", deps.Model, cfg.Kind)
	}
	b, err := kind(cfg, deps)
	if err != nil {
		return nil, fmt.Errorf("model %q: backend of kind %s: %w", deps.Model, cfg.Kind, err)
	}
	return b, nil
}
