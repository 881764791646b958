package policy_test

import (
	"io"
	"strconv"
	"strings"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// A part of an answer of a model: how many tokens it has, and what becomes known with it.
type part struct {
	tokens int64
	usage  *rpc.Usage // as the model's server counts, from here on; nil if it says nothing
	err    error      // the answer breaks off here
}

// generation is an answer of a model as it comes, and what its adapter notes of it.
type generation struct {
	try    *rpc.Try
	meter  rpc.Meter
	id     rpc.ID
	unary  bool
	parts  []part
	used   rpc.Usage
	closed bool
	ended  bool
}

// generate begins an answer to a call by an attempt of its own.
func generate(c *rpc.Call, input int64, parts ...part) *generation {
	stream, _ := c.Message.Get("stream")
	g := &generation{try: c.Record.Try(rpc.Hop{Upstream: c.Target.Upstream}), id: c.Message.ID, unary: string(stream) != "true", parts: parts}
	g.try.Metered(&g.meter)
	g.used = rpc.Usage{Input: input, Estimated: true}
	g.meter.Uses(g.used)
	return g
}

// Next implements [rpc.Source].
func (g *generation) Next() (*rpc.Message, error) {
	for len(g.parts) > 0 && !g.closed {
		p := g.parts[0]
		g.parts = g.parts[1:]
		if p.err != nil {
			return nil, p.err
		}
		if g.used.Output += p.tokens; p.usage != nil {
			g.used = *p.usage
		}
		g.meter.Uses(g.used)
		if !g.unary {
			return rpc.NewNotification("chunk", []byte(`{"text":"`+strings.Repeat("word", int(p.tokens))+`"}`)), nil
		}
	}
	if g.closed || g.ended {
		return nil, io.EOF
	}
	g.ended = true
	m := rpc.NewResult(g.id, []byte(`{"finish_reason":"stop","usage":{"output_tokens":`+strconv.FormatInt(g.used.Output, 10)+`}}`))
	g.try.Saw(m)
	return m, nil
}

// Answer implements [rpc.Source].
func (*generation) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source].
func (g *generation) Close() error {
	g.closed = true
	g.try.Leave()
	return nil
}

// meter is a meter of models of which the text of a prompt says how many tokens it has: one that costs as much as a
// dollar for a million tokens, ten for those of answers, and one that costs nothing.
func meter() policy.Meter {
	return policy.Meter{
		Demand: func(c *rpc.Call) (policy.Demand, bool) {
			number := func(name string) int64 {
				text, _ := c.Message.Get(name)
				n, _ := strconv.ParseInt(string(text), 10, 64)
				return n
			}
			stream, _ := c.Message.Get("stream")
			return policy.Demand{Input: number("tokens"), Output: number("max_tokens"), Streamed: string(stream) == "true"}, c.Method.Name == "invoke"
		},
		Price: func(model string) policy.Price {
			if model == "free" {
				return policy.Price{}
			}
			return policy.Price{Input: 1_000_000, Output: 10_000_000, Cached: 100_000}
		},
		Stream: func(c *rpc.Call) *rpc.Call {
			out := *c
			out.Message = c.Message.Fork()
			out.Message.Set("stream", []byte("true"))
			out.Message = out.Message.Clone()
			return &out
		},
		Collect: func(c *rpc.Call, r *rpc.Reply) *rpc.Reply { return rpc.NewReply(&collecting{r, c.Message.ID}) },
	}
}

// collecting leaves out chunks.
type collecting struct {
	*rpc.Reply
	id rpc.ID
}

func (c *collecting) Next() (*rpc.Message, error) {
	for {
		if m, err := c.Reply.Next(); err != nil || m.IsResponse() {
			return m, err
		}
	}
}

// invocation is a call of a model.
func invocation(model, params string) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "invoke", []byte(params)), Method: &rpc.Method{Name: "invoke", Idempotent: true}, Dialect: rpc.Infer,
		Principal: somebody("acme", "build", "k", "eve"), Record: &rpc.Record{},
		Target: rpc.Target{Kind: rpc.Model, Canonical: model, Upstream: model, Own: model},
	}
}
