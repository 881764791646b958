package rpc

import "errors"

// grammar is what a dialect asks of messages beside JSON.
type grammar struct {
	envelope    *layer
	versionless bool // jsonrpc may be absent (JSON-RPC 1.0 has no such member)
	integers    bool // numbers as ids are whole
	ambiguous   Code // of the refusal of JSON that readers understand differently
}

// The grammars: of the dialects, and of what the gateway has composed itself, of parts that
// were read before, where no name is reserved any more.
var (
	mcpGrammar   = grammar{envelope: envelopeLayer, ambiguous: InvalidRequest}
	inferGrammar = grammar{envelope: inferEnvelope, versionless: true, integers: true, ambiguous: ParseError}
	ownGrammar   = grammar{envelope: ownEnvelope, versionless: true, ambiguous: InvalidRequest}
)

// refusal tells text that is no JSON from JSON that is no message or several.
func (g *grammar) refusal(err error) *Error {
	code := ParseError
	if errors.Is(err, ErrBatch) || errors.Is(err, ErrNoObject) {
		code = InvalidRequest
	} else if e, ok := errors.AsType[*SyntaxError](err); ok && e.Ambiguous {
		code = g.ambiguous
	}
	return &Error{Code: code, Message: "message refused: " + err.Error(), Cause: err}
}

// The layers of a message. Reserved names decide what a message is and whom it is
// for; a result decides nothing here, so none are reserved in it.
var (
	envelopeLayer = &layer{
		scope:    top,
		reserved: names("jsonrpc", "id", "method", "params", "result", "error"),
		inner:    []nested{{"params", paramsLayer}, {"result", resultLayer}},
	}
	paramsLayer = &layer{
		scope: body,
		reserved: names("name", "uri", "arguments", "_meta", "cursor", "taskId", "requestId", "progressToken",
			"requestState", "inputResponses", "protocolVersion", "capabilities", "clientInfo"),
		inner: []nested{{"_meta", metaLayer}},
	}
	metaLayer = &layer{
		scope: meta,
		reserved: names("progressToken", "io.modelcontextprotocol/protocolVersion",
			"io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo",
			"io.modelcontextprotocol/logLevel"),
	}
	resultLayer = &layer{scope: body, lenient: true, inner: []nested{{"_meta", &layer{scope: meta, lenient: true}}}}
	plainLayer  = &layer{}
)

// The layers of a message of the inference dialect. Reserved is also what says how long
// an answer may be, and how many: that is paid for before it is asked for. What else is
// in params is a backend's, in whatever spelling.
var (
	inferEnvelope = &layer{
		scope:    top,
		reserved: names("jsonrpc", "id", "method", "params", "result", "error", "done"),
		inner:    []nested{{"params", inferParams}, {"result", resultLayer}},
	}
	inferParams = &layer{
		scope: body,
		reserved: names("model", "prompt", "messages", "stream", "max_tokens", "context", "id", "job_id", "wait",
			"idempotency_key", "deadline", "session", "sessionId", "protocolVersion", "capabilities", "clientInfo",
			"temperature", "stop", "stream_options", "options", "n", "best_of", "num_return_sequences", "max_completion_tokens",
			"max_new_tokens", "num_predict", "n_predict"),
		inner: []nested{{"_meta", &layer{scope: meta, lenient: true}}},
	}
	ownEnvelope = &layer{
		scope: top,
		inner: []nested{{"params", ownParams}, {"result", resultLayer}},
	}
	ownParams = &layer{scope: body, inner: []nested{{"_meta", &layer{scope: meta}}}}
)
