package edge

import (
	"net/http"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// dialect is what an answer owes to the language that its client speaks. Transports and calls in flight are the same in all.
type dialect struct {
	name rpc.Dialect
	// failure is how a failure reads: of a request with a name of the gateway's own, about a model; both may be empty.
	failure func(e *rpc.Error, request, model string) *rpc.WireError
	// header is the header fields of an answer that is a failure.
	header func(e *rpc.Error) http.Header
	// status is the HTTP status of a failure that is answered before any message was, statusOf that of a response.
	status   func(e *rpc.Error, era rpc.Era) int
	statusOf func(m *rpc.Message, era rpc.Era) int
	standing string // the method whose calls are streams that stand open
	asks     bool   // clients can be asked
}

// The dialects. They do not change.
var (
	mcpDialect = dialect{
		name: rpc.MCP, status: mcp.Status, statusOf: mcp.StatusOf, standing: mcp.Listen, asks: true,
		failure: func(e *rpc.Error, _, _ string) *rpc.WireError { return mcp.Failure(e) }, header: headerOf,
	}
	inferDialect = dialect{
		name: rpc.Infer, failure: infer.Failure, header: infer.Header, standing: infer.Logs,
		status: func(e *rpc.Error, _ rpc.Era) int { return infer.HTTPStatus(e) },
		statusOf: func(m *rpc.Message, _ rpc.Era) int {
			if m.Err != nil {
				return http.StatusBadGateway // the gateway's own failures are no messages yet
			}
			return http.StatusOK
		},
	}
)

// dialectOf returns the dialect with a name.
func dialectOf(name rpc.Dialect) *dialect {
	if name == rpc.Infer {
		return &inferDialect
	}
	return &mcpDialect
}
