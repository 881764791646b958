package admin

import (
	"context"
	"time"

	"github.com/headgate/headgate/admin/live"
)

// Gateway is what the API shows of the gateway, and what it can end. Its methods may be
// called concurrently. They ask no upstream.
type Gateway interface {
	Overview() Overview
	// Upstreams returns all that are configured, in order.
	Upstreams() []Upstream
	// Models returns all that are configured, in order.
	Models() []Model
	// Calls returns the calls in flight, the oldest first, and Streams the streams that
	// stand open.
	Calls() []live.Call
	Streams() []live.Call
	// Recent returns calls that ended, those that came last first.
	Recent() []live.Ended
	// Stop ends a call or a stream, and reports whether there is one.
	Stop(id uint64) bool
	// Connections returns those that carry many messages. Disconnect ends one, and reports
	// whether there is one.
	Connections() []Connection
	Disconnect(id string) bool
	// Sessions returns the live ones, those used last first. EndSession ends one, named by
	// its short form, and reports whether there is one.
	Sessions() []Session
	EndSession(ctx context.Context, id string) (bool, error)
	// Limits returns how limits stand for those who call most.
	Limits(ctx context.Context) ([]Limit, error)
}

// Overview is the process at a glance.
type Overview struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptimeSeconds"`
	Ready      bool      `json:"ready"`
	Generation uint64    `json:"generation"` // of the configuration: 1 at the start, one more with each change
	Goroutines int       `json:"goroutines"`
	Heap       uint64    `json:"heapBytes"`   // in use
	Memory     uint64    `json:"memoryBytes"` // taken from the system
	Calls      int       `json:"calls"`       // in flight
	Streams    int       `json:"streams"`     // that stand open
	Parked     int       `json:"parked"`      // calls that wait for their client to come back
	Sessions   int       `json:"sessions"`    // live ones
	Jobs       int       `json:"jobs"`        // that run
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
	Backends  []Backend  `json:"backends,omitempty"`
	Queue     *Queue     `json:"queue,omitempty"`  // where it takes so many calls at a time
	Mirror    *Mirror    `json:"mirror,omitempty"` // where it gets copies of calls
}

// Model is what was last seen of a model's backends.
type Model struct {
	Name     string    `json:"name"`  // of its entry in the configuration: a name or a glob
	State    string    `json:"state"` // up, loading, down or disabled
	Aliases  []string  `json:"aliases,omitempty"`
	Note     string    `json:"note,omitempty"` // what people should know
	Backends []Backend `json:"backends,omitempty"`
	Queue    *Queue    `json:"queue,omitempty"` // where it takes so many calls at a time
}

// Backend is a replica of an upstream, or one of those that run a model.
type Backend struct {
	Backend   string  `json:"backend"`           // HOST:PORT; empty for a program
	State     string  `json:"state"`             // up, down, open, ejected or draining; of a model also cold or loading
	Breaker   string  `json:"breaker,omitempty"` // closed, open or half-open
	InFlight  int     `json:"inFlight"`
	Weight    int     `json:"weight"`
	Share     float64 `json:"share"` // of its weight, less than 1 while it starts slowly
	Row       int     `json:"failuresInARow"`
	Failures  uint64  `json:"failures"`
	Ejections int     `json:"ejections"`
	Back      float64 `json:"backMs,omitempty"` // until it is called again
}

// Queue is who waits for an upstream.
type Queue struct {
	Limit    int               `json:"limit"` // of calls in flight
	InFlight int               `json:"inFlight"`
	Waiting  int               `json:"waiting"`
	Size     int               `json:"size"` // how many may wait
	Oldest   float64           `json:"oldestMs"`
	Tenants  []Tenant          `json:"tenants,omitempty"` // those that wait, at most 32
	Shed     map[string]uint64 `json:"shed,omitempty"`    // calls that were refused, by cause, since the process began
}

// Tenant is one of those who wait.
type Tenant struct {
	Tenant  string  `json:"tenant"`
	Band    string  `json:"band"`
	Weight  int     `json:"weight"`
	Waiting int     `json:"waiting"`
	Oldest  float64 `json:"oldestMs"`
}

// Mirror is what became of the copies that an upstream got.
type Mirror struct {
	Equal     uint64 `json:"equal"`
	Different uint64 `json:"different"`
	Failed    uint64 `json:"failed"`
	Dropped   uint64 `json:"dropped"`
}

// Connection is a connection that carries many messages.
type Connection struct {
	ID        string         `json:"id"` // random; good for ending it
	Transport string         `json:"transport"`
	Endpoint  string         `json:"endpoint"`
	Principal live.Principal `json:"principal"`
	Remote    string         `json:"remote,omitempty"`
	Session   string         `json:"session,omitempty"`
	Since     time.Time      `json:"since"`
	InFlight  int            `json:"inFlight"`
}

// Session is a live session of a legacy client.
type Session struct {
	ID        string         `json:"id"` // its short form; good for ending it, not for using it
	Client    string         `json:"client,omitempty"`
	Version   string         `json:"clientVersion,omitempty"`
	Revision  string         `json:"revision"`
	Endpoint  string         `json:"endpoint"`
	Principal live.Principal `json:"principal"`
	Created   time.Time      `json:"created"`
	Used      time.Time      `json:"lastUsed"`
	Level     string         `json:"logLevel,omitempty"`
	InFlight  int            `json:"inFlight"`
	Questions int            `json:"questions"` // that the client has not answered
	Streams   int            `json:"streams"`
}

// Limit is how a limit stands for one of those it is counted for.
type Limit struct {
	Limit     string         `json:"limit"`
	Scope     string         `json:"scope"`
	Unit      string         `json:"unit"`
	Text      string         `json:"text"` // the limit in words
	Enforced  bool           `json:"enforced"`
	Principal live.Principal `json:"principal"`         // whose it is
	Address   string         `json:"address,omitempty"` // likewise, where it counts addresses
	Max       float64        `json:"max"`
	Used      float64        `json:"used"`
	Remaining float64        `json:"remaining"`
	Reset     float64        `json:"resetSeconds"` // until nothing is used if nobody calls; 0 where that depends on calls in flight
}
