package fake

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

// Era is a set of protocol eras.
type Era uint8

// The eras: Legacy opens with initialize (MCP 2024-11-05 to 2025-11-25), Modern sends what it is with every request (MCP
// 2026-07-28).
const (
	Legacy Era = 1 << iota
	Modern
)

// Config says what a Server is. The zero value is a server of both eras with one tool, "echo".
type Config struct {
	// Name is the server's name in serverInfo; empty means "fake".
	Name string
	// Instructions is what the server tells about itself; empty sends none.
	Instructions string
	// Capabilities is the exact capabilities object; nil declares tools with listChanged.
	Capabilities json.RawMessage
	// Eras are the eras the server speaks; zero means both.
	Eras Era
	// Tools are the tools at the start; nil means one tool "echo" that behaves as Echo.
	Tools []Tool
	// Tasks are what the server has for the tasks extension, which Capabilities must declare; nil means that it has none.
	Tasks *Tasks
	// LegacyTasks are what the server has for tasks of 2025-11-25, which Capabilities must declare.
	LegacyTasks *LegacyTasks
	// PageSize is the number of tools on one page of tools/list; zero means all.
	PageSize int
	// TTL is the freshness of lists as modern clients are told it (ttlMs).
	TTL time.Duration
	// SSE answers every POST with an event stream. Without it only calls that send notifications do.
	SSE bool
	// Record keeps what is received for Received.
	Record bool
	// SkipValidation spares checking that bodies are JSON to the last byte, which at 64 KiB costs more than the answer.
	SkipValidation bool
}

// Server is a fake MCP server. All its methods may be called concurrently.
type Server struct {
	config   Config
	tools    atomic.Pointer[toolList]
	sessions sessions
	inflight inflight
	streams  streams
	log      recorder
}

var _ http.Handler = (*Server)(nil)

// New returns a server. The caller calls Close when it is done with it, before it closes the listener that serves it.
func New(config Config) *Server {
	if config.Name == "" {
		config.Name = "fake"
	}
	if config.Eras == 0 {
		config.Eras = Legacy | Modern
	}
	if config.Capabilities == nil {
		config.Capabilities = json.RawMessage(`{"tools":{"listChanged":true}}`)
	}
	if config.Tools == nil {
		config.Tools = []Tool{{Name: "echo", Behaviour: Echo}}
	}
	s := &Server{config: config}
	s.log.on = config.Record
	s.streams.closed = make(chan struct{})
	s.tools.Store(newToolList(config.Tools))
	return s
}

// SetTools replaces the tools and tells everyone who listens (notifications/tools/list_changed).
func (s *Server) SetTools(tools []Tool) {
	s.tools.Store(newToolList(tools))
	s.Notify("notifications/tools/list_changed", nil)
}

// Close ends the open streams: GET streams of legacy sessions and subscriptions of modern clients, these with a result.
// Calls in flight go on. A second Close does nothing.
func (s *Server) Close() { s.streams.close() }

// Sessions returns the number of legacy HTTP sessions that were opened and not ended.
func (s *Server) Sessions() int { return s.sessions.count() }

// Streams returns the number of clients that would hear a notification now.
func (s *Server) Streams() int { return s.streams.count() }
