package metrics

import "strings"

// Kind says what a series is.
type Kind uint8

// The kinds of series.
const (
	Gauge     Kind = iota // goes up and down
	Counter               // only rises while the process lives
	Histogram             // durations, in seconds
)

// String returns the kind in the words of the exposition format.
func (k Kind) String() string {
	return [...]string{Gauge: "gauge", Counter: "counter", Histogram: "histogram"}[k]
}

// Definition is one metric: a name, and the labels that tell its series apart.
type Definition struct {
	Name   string // by OpenTelemetry's rules
	Kind   Kind
	Unit   string // seconds, or none
	Help   string
	Labels []string // by OpenTelemetry's rules
}

// Series returns the name in Prometheus: without dots, with the unit, and with _total behind what only rises.
func (d *Definition) Series() string {
	name := label(d.Name)
	if d.Unit == seconds {
		name += "_seconds"
	}
	if d.Kind == Counter {
		name += "_total"
	}
	return name
}

// LabelNames returns the labels' names in Prometheus.
func (d *Definition) LabelNames() []string {
	out := make([]string, len(d.Labels))
	for i, l := range d.Labels {
		out[i] = label(l)
	}
	return out
}

func label(name string) string { return strings.ReplaceAll(name, ".", "_") }

// seconds is the one unit that shows in names.
const seconds = "s"

// Other is the value of a label where the true one is not known to be one of a few.
const Other = "_OTHER"

// Labels of the conventions for MCP.
const (
	methodName      = "mcp.method.name"
	toolName        = "gen_ai.tool.name"
	promptName      = "gen_ai.prompt.name"
	operationName   = "gen_ai.operation.name"
	errorType       = "error.type"
	statusCode      = "rpc.response.status_code"
	protocolVersion = "mcp.protocol.version"
	transport       = "network.transport"
	protocolName    = "network.protocol.name"
	serverAddress   = "server.address"
	serverPort      = "server.port"
)

// The instruments of the conventions for MCP.
var (
	serverOperation = &Definition{
		"mcp.server.operation.duration", Histogram, seconds, "How long calls of clients took, from their arrival to their response.",
		[]string{methodName, toolName, promptName, operationName, errorType, statusCode, protocolVersion, transport, protocolName},
	}
	clientOperation = &Definition{
		"mcp.client.operation.duration", Histogram, seconds, "How long upstreams took, each time that one was asked for a client.",
		[]string{
			methodName, toolName, promptName, operationName, errorType, statusCode, protocolVersion, transport, protocolName,
			serverAddress, serverPort, "upstream",
		},
	}
	serverSession = &Definition{
		"mcp.server.session.duration", Histogram, seconds, "How long sessions of legacy clients lasted.",
		[]string{protocolVersion, transport, protocolName},
	}
	clientSession = &Definition{
		"mcp.client.session.duration", Histogram, seconds, "How long sessions with legacy upstreams lasted.",
		[]string{protocolVersion, transport, protocolName, "upstream"},
	}
)

// What else the gateway tells of itself. Whoever knows a value gives it to a [Sink].
var (
	BuildInfo = &Definition{"headgate.build.info", Gauge, "", "1; the labels say what is running.", []string{"version", "goversion"}}

	RequestsInFlight = &Definition{"headgate.requests.in_flight", Gauge, "", "Calls of clients that have no answer yet.", nil}
	StreamsActive    = &Definition{"headgate.streams.active", Gauge, "", "Streams of clients that stand open for what changes.", nil}
	SessionsActive   = &Definition{"headgate.sessions.active", Gauge, "", "Sessions of legacy clients that are in memory.", nil}
	CallsParked      = &Definition{"headgate.calls.parked", Gauge, "", "Calls that wait for a client to answer a question.", nil}

	CallsFailed       = &Definition{"headgate.calls.failed", Counter, "", "Calls that the gateway refused, or that failed without an answer of their server.", []string{"reason"}}
	RateLimitRejected = &Definition{"headgate.ratelimit.rejected", Counter, "", "Calls that a limit refused.", []string{"reason"}}
	CacheRequests     = &Definition{"headgate.cache.requests", Counter, "", "Calls that the cache is for.", []string{"result"}}

	JobsRunning = &Definition{"headgate.jobs.running", Gauge, "", "Jobs that run here.", nil}
	JobsEnded   = &Definition{"headgate.jobs.ended", Counter, "", "Jobs that workers here have ended, by the state that they are in.", []string{"state"}}

	UpstreamUp       = &Definition{"headgate.upstream.up", Gauge, "", "1 if an upstream answered when it was last heard of, else 0.", []string{"upstream"}}
	UpstreamRestarts = &Definition{"headgate.upstream.restarts", Counter, "", "How often a connection to an upstream, or its process, was begun anew.", []string{"upstream"}}

	upstreamRetries  = &Definition{"headgate.upstream.retries", Counter, "", "How often a call was made again after an attempt had failed.", []string{"upstream"}}
	UpstreamInFlight = &Definition{"headgate.upstream.in_flight", Gauge, "", "Calls that run at an upstream, where the configuration bounds them.", []string{"upstream"}}
	QueueDepth       = &Definition{"headgate.queue.depth", Gauge, "", "Calls that wait for a place at an upstream.", []string{"upstream", "band"}}
	QueueShed        = &Definition{"headgate.queue.shed", Counter, "", "Calls that got no place at an upstream, by why.", []string{"upstream", "reason"}}
	queueWait        = &Definition{"headgate.queue.wait", Histogram, seconds, "How long calls waited for a place at an upstream, of those that had to.", []string{"upstream"}}

	BackendUp       = &Definition{"headgate.backend.up", Gauge, "", "1 if calls go to a backend, 0 while it is down, left alone, put behind others or drained.", []string{"upstream", "backend"}}
	BackendInFlight = &Definition{"headgate.backend.in_flight", Gauge, "", "Calls that run at a backend.", []string{"upstream", "backend"}}
	BackendFailures = &Definition{"headgate.backend.failures", Counter, "", "Calls that a backend has failed.", []string{"upstream", "backend"}}
	BreakerState    = &Definition{"headgate.breaker.state", Gauge, "", "1 for the state that the breaker of a backend is in, else 0.", []string{"upstream", "backend", "state"}}
	MirrorAnswers   = &Definition{"headgate.mirror.answers", Counter, "", "Copies of calls that an upstream got, by what became of them.", []string{"upstream", "result"}}
	OverloadShed    = &Definition{"headgate.overload.shed", Counter, "", "Calls that were refused for want of memory: of band batch, or of all.", []string{"band"}}

	ConfigGeneration    = &Definition{"headgate.config.generation", Gauge, "", "1 at the start, one more with each change of the configuration that took effect.", nil}
	ConfigReloaded      = &Definition{"headgate.config.last_reload_success.timestamp", Gauge, seconds, "When the configuration was last read without a problem, in seconds since 1970.", nil}
	ConfigReloadSuccess = &Definition{"headgate.config.last_reload.successful", Gauge, "", "0 if the last attempt to read the configuration again failed, else 1.", nil}

	LogLost      = &Definition{"headgate.log.lost", Counter, "", "Lines of the log that were not written, because what they are written to failed or did not keep up.", nil}
	AuditLines   = &Definition{"headgate.audit.lines", Counter, "", "Lines that the audit log has taken.", nil}
	AuditDropped = &Definition{"headgate.audit.dropped", Counter, "", "Lines of the audit log that were lost, because the disk did not keep up.", nil}
)

// Definitions lists every metric that the gateway itself may show.
func Definitions() []*Definition {
	return []*Definition{
		serverOperation, clientOperation, serverSession, clientSession,
		inferOperation, modelDuration, modelFirst, modelBetween, inputTokens, outputTokens, cachedTokens, modelQueueWait, modelRetries,
		ModelUp, ModelInFlight, ModelQueueDepth, ModelQueueShed, ModelBackendUp, ModelBackendInFlight, ModelBackendFailures, ModelBreakerState,
		BuildInfo, RequestsInFlight, StreamsActive, SessionsActive, CallsParked, CallsFailed, RateLimitRejected, CacheRequests, JobsRunning, JobsEnded,
		UpstreamUp, UpstreamRestarts, upstreamRetries, UpstreamInFlight, QueueDepth, QueueShed, queueWait,
		BackendUp, BackendInFlight, BackendFailures, BreakerState, MirrorAnswers, OverloadShed,
		ConfigGeneration, ConfigReloaded, ConfigReloadSuccess, LogLost, AuditLines, AuditDropped,
	}
}
