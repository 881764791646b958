package metrics

import (
	"net"

	"github.com/headgate/headgate/rpc"
)

// inference records the calls of the inference dialect, by the OpenTelemetry conventions for generative models
// (open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md at v1.42.0-dev, stability Development).
type inference struct {
	operations *histogram[operationKey]
	durations  *histogram[askedKey]
	first      *histogram[backendKey]
	between    *histogram[backendKey]
	input      *counts[tokenKey]
	output     *counts[tokenKey]
	cached     *counts[tokenKey]
	waits      *histogram[entryKey]
	retries    *counts[entryKey]
}

func newInference() *inference {
	return &inference{
		operations: newHistogram[operationKey](inferOperation, ofModels),
		durations:  newHistogram[askedKey](modelDuration, ofModels),
		first:      newHistogram[backendKey](modelFirst, ofModels),
		between:    newHistogram[backendKey](modelBetween, ofModels),
		input:      newCounts[tokenKey](inputTokens), output: newCounts[tokenKey](outputTokens), cached: newCounts[tokenKey](cachedTokens),
		waits: newHistogram[entryKey](modelQueueWait, ofTools), retries: newCounts[entryKey](modelRetries),
	}
}

// The instruments of the inference dialect. Models stand by the names of their entries in the configuration: what a client calls a model that a
// glob serves is the client's choice.
var (
	inferOperation = &Definition{
		"headgate.inference.operation.duration", Histogram, seconds, "How long calls of the inference dialect took, from their arrival to the end of their answer.",
		[]string{"rpc.method", requestModel, errorType},
	}
	modelDuration = &Definition{
		"gen_ai.client.inference.duration", Histogram, seconds, "How long backends took, each time that one was asked for an answer.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort, errorType},
	}
	modelFirst = &Definition{
		"gen_ai.client.inference.time_to_first_chunk", Histogram, seconds, "How long the first part of a streamed answer took.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort},
	}
	modelBetween = &Definition{
		"gen_ai.client.inference.time_per_output_chunk", Histogram, seconds, "How long each further part of a streamed answer took.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort},
	}
	inputTokens = &Definition{
		"gen_ai.client.inference.usage.input_tokens", Counter, "", "Tokens of prompts.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort, tokenModality},
	}
	outputTokens = &Definition{
		"gen_ai.client.inference.usage.output_tokens", Counter, "", "Tokens that models have produced.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort, tokenModality},
	}
	cachedTokens = &Definition{
		"gen_ai.client.inference.usage.cache_read.input_tokens", Counter, "", "Tokens of prompts that the model had worked on before.",
		[]string{operationName, providerName, requestModel, serverAddress, serverPort, tokenModality},
	}
	modelQueueWait = &Definition{"headgate.model.queue.wait", Histogram, seconds, "How long calls waited for a place at a model, of those that had to.", []string{modelName}}
	modelRetries   = &Definition{"headgate.model.retries", Counter, "", "How often a call was made again after an attempt had failed.", []string{modelName}}
)

// What is known of models at any time.
var (
	ModelUp              = &Definition{"headgate.model.up", Gauge, "", "1 if some backend of a model serves calls, else 0.", []string{modelName}}
	ModelInFlight        = &Definition{"headgate.model.in_flight", Gauge, "", "Calls that backends of a model have.", []string{modelName}}
	ModelQueueDepth      = &Definition{"headgate.model.queue.depth", Gauge, "", "Calls that wait for a place at a model.", []string{modelName, "band"}}
	ModelQueueShed       = &Definition{"headgate.model.queue.shed", Counter, "", "Calls that got no place at a model, by why.", []string{modelName, "reason"}}
	ModelBackendUp       = &Definition{"headgate.model.backend.up", Gauge, "", "1 if calls go to a backend, 0 while it is down, loading, left alone, put behind others or drained.", []string{modelName, "backend"}}
	ModelBackendInFlight = &Definition{"headgate.model.backend.in_flight", Gauge, "", "Calls that run at a backend.", []string{modelName, "backend"}}
	ModelBackendFailures = &Definition{"headgate.model.backend.failures", Counter, "", "Calls that a backend has failed.", []string{modelName, "backend"}}
	ModelBreakerState    = &Definition{"headgate.model.breaker.state", Gauge, "", "1 for the state that the breaker of a backend is in, else 0.", []string{modelName, "backend", "state"}}
)

// Labels of the conventions for generative models, and one of our own.
const (
	providerName  = "gen_ai.provider.name"
	requestModel  = "gen_ai.request.model"
	tokenModality = "gen_ai.token.modality"
	modelName     = "model"
)

// ExpectModel makes the series of a model that is not asked again, and where nobody has waited, begin at 0.
func (c *Calls) ExpectModel(name string, queued bool) {
	c.infer.retries.series(entryKey{name})
	if queued {
		c.infer.waits.series(entryKey{name})
	}
}

// ended records a call.
func (i *inference) ended(c *rpc.Call, known func(method string) bool) {
	r := c.Record
	k := operationKey{method: c.Method.Name, model: c.Target.Upstream, outcome: word(r.Outcome())}
	if !known(k.method) {
		k.method = Other
	}
	_, took := r.Times()
	i.operations.observe(k, took)
	for t := r.First(); t != nil; t = t.Next() {
		a := t.Attempt()
		if a.Number > 1 {
			i.retries.add(entryKey{a.Upstream}, 1)
		}
		if a.Queued > 0 {
			i.waits.observe(entryKey{a.Upstream}, a.Queued)
		}
		if a.Ended != 0 || !t.OnEnd(i.finished) {
			i.finished(t.Attempt())
		}
	}
}

// finished records one time that a backend was asked.
func (i *inference) finished(a rpc.Attempt) {
	k := backendKey{model: a.Upstream, provider: a.Transport, backend: a.Backend}
	if a.Output != nil && a.Output.Chunks > 0 {
		i.first.observe(k, a.First-a.Began)
		i.between.series(k).add(&a.Output.Gaps, a.Output.Waited)
	}
	tokens := tokenKey{k, a.Usage == rpc.Usage{}}
	i.input.add(tokens, natural(a.Usage.Input))
	i.output.add(tokens, natural(a.Usage.Output))
	i.cached.add(tokens, natural(a.Usage.Cached))
	i.durations.observe(askedKey{k, word(a.Outcome)}, a.Ended-a.Began)
}

// word is the class of an error: the code by its name, which is the same whatever the dialect makes of it.
func word(o rpc.Outcome) string {
	if o.OK() {
		return ""
	}
	return o.String()
}

func natural(n int64) uint64 { return uint64(max(0, n)) }

func (i *inference) samples(s *Sink) {
	i.durations.samples(s)
	for _, h := range []*histogram[backendKey]{i.first, i.between} {
		h.samples(s)
	}
	for _, c := range []*counts[tokenKey]{i.input, i.output, i.cached} {
		c.samples(s)
	}
	i.operations.samples(s)
	i.waits.samples(s)
	i.retries.samples(s)
}

// operationKey tells the series of headgate.inference.operation.duration apart.
type operationKey struct{ method, model, outcome string }

func (k operationKey) values() []string     { return []string{k.method, k.model, k.outcome} }
func (k operationKey) folded() operationKey { k.model = Other; return k }

// backendKey tells the series of backends apart.
type backendKey struct{ model, provider, backend string }

// chat is the conventions' name for what a model is asked.
const chat = "chat"

func (k backendKey) values() []string {
	host, port, _ := net.SplitHostPort(k.backend) // a tool has none
	return []string{chat, k.provider, k.model, host, port}
}

func (k backendKey) folded() backendKey { k.model = Other; return k }

// askedKey tells the series of gen_ai.client.inference.duration apart.
type askedKey struct {
	backendKey
	outcome string
}

func (k askedKey) values() []string { return append(k.backendKey.values(), k.outcome) }
func (k askedKey) folded() askedKey { k.backendKey = k.backendKey.folded(); return k }

// tokenKey tells the series of tokens apart.
type tokenKey struct {
	backendKey
	unknown bool // nothing is known of what was used
}

func (k tokenKey) values() []string {
	if k.unknown {
		return append(k.backendKey.values(), "unknown")
	}
	return append(k.backendKey.values(), "text")
}

func (k tokenKey) folded() tokenKey { k.backendKey = k.backendKey.folded(); return k }

// entryKey tells the series of models apart.
type entryKey struct{ model string }

func (k entryKey) values() []string { return []string{k.model} }
func (k entryKey) folded() entryKey { return k }
