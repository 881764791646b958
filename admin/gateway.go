package admin

import (
	"net/http"
	"time"
)

// Gateway is what the API shows of the gateway. Its methods may be called concurrently.
// They ask no upstream and wait for nothing.
type Gateway interface {
	Overview() Overview
	// Upstreams returns all that are configured, in order.
	Upstreams() []Upstream
}

// Overview is the process at a glance.
type Overview struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptimeSeconds"`
	Ready      bool      `json:"ready"`
	Goroutines int       `json:"goroutines"`
	Heap       uint64    `json:"heapBytes"`   // in use
	Memory     uint64    `json:"memoryBytes"` // taken from the system
	Sessions   int       `json:"sessions"`    // live ones
}

// Upstream is what was last seen of an upstream.
type Upstream struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // up, down, connecting or disabled
	Since     *time.Time `json:"since,omitempty"`
	Transport string     `json:"transport,omitempty"`
	Era       string     `json:"era,omitempty"` // legacy or modern, once it has been up
	Revision  string     `json:"revision,omitempty"`
	Tools     int        `json:"tools"`
	Restarts  int        `json:"restarts"`        // how often a connection that clients share was opened again
	Note      string     `json:"note,omitempty"`  // what people should know
	Error     string     `json:"error,omitempty"` // why it is down
}

func (s *Server) overview(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, s.Gateway.Overview())
}

func (s *Server) upstreams(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, map[string]any{"upstreams": s.Gateway.Upstreams()})
}
