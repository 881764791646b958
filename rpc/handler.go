package rpc

import (
	"context"
	"slices"
)

// Handler serves calls. The context governs the reply until it is closed: when the
// context ends, Next returns its cause. An error means that there is no reply; the
// caller turns it into one with the dialect's error table.
type Handler interface {
	Handle(ctx context.Context, c *Call) (*Reply, error)
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(ctx context.Context, c *Call) (*Reply, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, c *Call) (*Reply, error) { return f(ctx, c) }

// Middleware makes a handler of another one. It may refuse, delay, answer or alter
// a call, and wrap the reply.
type Middleware func(Handler) Handler

// Chain puts middlewares before a handler; the first is outermost.
func Chain(h Handler, layers ...Middleware) Handler {
	for _, layer := range slices.Backward(layers) {
		h = layer(h)
	}
	return h
}
