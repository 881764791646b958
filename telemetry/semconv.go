package telemetry

// Names of attributes, by the OpenTelemetry semantic conventions for MCP (open-telemetry/semantic-conventions-genai,
// docs/gen-ai/mcp.md at v1.42.0-dev, stability Development) and for general use (open-telemetry/semantic-conventions, 1.44.0). The
// semconv packages of recent releases have none of MCP's.
const (
	attrMethod          = "mcp.method.name"
	attrProtocolVersion = "mcp.protocol.version"
	attrSession         = "mcp.session.id"
	attrResource        = "mcp.resource.uri"
	attrRequestID       = "jsonrpc.request.id"
	attrTool            = "gen_ai.tool.name"
	attrPrompt          = "gen_ai.prompt.name"
	attrOperation       = "gen_ai.operation.name"
	attrStatusCode      = "rpc.response.status_code"
	attrErrorType       = "error.type"
	attrTransport       = "network.transport"
	attrProtocol        = "network.protocol.name"
	attrServerAddress   = "server.address"
	attrServerPort      = "server.port"
	attrClientAddress   = "client.address"
	attrClientPort      = "client.port"
)

// Names of our own, where the conventions have none.
const (
	attrEndpoint  = "headgate.endpoint"
	attrOutcome   = "headgate.outcome"
	attrUpstream  = "headgate.upstream"
	attrOrg       = "headgate.org"
	attrTeam      = "headgate.team"
	attrKey       = "headgate.key"
	attrAttempt   = "headgate.attempt.number"
	attrReason    = "headgate.attempt.reason"
	attrQueueWait = "headgate.queue.wait"
	attrAbout     = "headgate.event.about"
	attrTook      = "headgate.event.duration"
	attrLink      = "headgate.link"
)

// Values that the conventions fix.
const (
	executeTool   = "execute_tool" // of attrOperation
	toolError     = "tool_error"   // of attrErrorType
	overTCP       = "tcp"          // of attrTransport
	overPipe      = "pipe"
	protocolHTTP  = "http" // of attrProtocol
	protocolWS    = "websocket"
	toolsCall     = "tools/call" // of attrMethod
	notifications = "notifications/"
)
