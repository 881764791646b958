package telemetry

import (
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/headgate/headgate/rpc"
)

// The names of the conventions for generative models (open-telemetry/semantic-conventions-genai,
// docs/gen-ai/gen-ai-spans.md at v1.42.0-dev, stability Development), and of those for remote procedure calls.
const (
	attrRPCMethod    = "rpc.method"
	attrProvider     = "gen_ai.provider.name"
	attrModel        = "gen_ai.request.model"
	attrStream       = "gen_ai.request.stream"
	attrConversation = "gen_ai.conversation.id"
	attrFinish       = "gen_ai.response.finish_reasons"
	attrFirstChunk   = "gen_ai.response.time_to_first_chunk"
	attrInput        = "gen_ai.usage.input_tokens"
	attrOutput       = "gen_ai.usage.output_tokens"
	attrCached       = "gen_ai.usage.cache_read.input_tokens"
)

// Names of our own.
const (
	attrCallID    = "headgate.request.id"
	attrEstimated = "headgate.usage.estimated"
)

// What the conventions call an invoke, and how it is called on the wire.
const (
	chat   = "chat"
	invoke = "invoke"
)

// inference is what a span says of a model that was asked beside what all spans say.
type inference struct {
	streamed bool // the call asks for its answer in parts
}

// newInference reads what is to be said of a call of the inference dialect. It returns nil for others.
func newInference(c *rpc.Call) *inference {
	if c.Dialect != rpc.Infer {
		return nil
	}
	stream, _ := c.Message.Get("stream")
	return &inference{streamed: string(stream) == "true"}
}

// asked adds what a client asked, and what came of it in all.
func (i *inference) asked(a *attributes, c *rpc.Call) {
	a.text(attrConversation, sessionOf(c))
	a.text(attrCallID, c.Record.ID)
	if c.Method.Name != invoke {
		return
	}
	a.flag(attrStream, i.streamed)
	used := c.Record.Usage()
	a.usage(used)
	var last rpc.Attempt
	for t := c.Record.First(); t != nil; t = t.Next() {
		last = t.Attempt()
	}
	a.answer(&last, 0)
}

// answered adds what one backend said.
func (i *inference) answered(a *attributes, t *rpc.Attempt) {
	a.text(attrProvider, t.Transport)
	a.flag(attrStream, i.streamed)
	a.usage(t.Usage)
	a.answer(t, t.Began)
}

// usage adds the tokens that were used.
func (a *attributes) usage(u rpc.Usage) {
	if u == (rpc.Usage{}) {
		return
	}
	a.number(attrInput, u.Input)
	a.number(attrOutput, u.Output)
	if u.Cached > 0 {
		a.number(attrCached, u.Cached)
	}
	if u.Estimated {
		a.flag(attrEstimated, true)
	}
}

// answer adds when the first part of an answer came, counted from a time, and how it ended. An attempt that still runs says nothing yet.
func (a *attributes) answer(t *rpc.Attempt, since time.Duration) {
	if t.Output == nil || t.Ended == 0 {
		return
	}
	if t.Output.Chunks > 0 {
		a.seconds(attrFirstChunk, t.First-since)
	}
	if t.Output.Finish != "" {
		a.list = append(a.list, &commonpb.KeyValue{Key: attrFinish, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{
			ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{{Value: &commonpb.AnyValue_StringValue{StringValue: t.Output.Finish}}}},
		}}})
	}
}

func (a *attributes) flag(key string, is bool) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: is}})
}
