package edge

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// Config bounds what clients can cost. Zero values mean the stated defaults.
type Config struct {
	Body        int64                    // bytes of a request; 4 MiB
	Depth       int                      // nesting of a request; [rpc.DefaultDepth]
	AllowOrigin func(origin string) bool // browsers that get CORS answers; nil allows none
	Heartbeat   time.Duration            // between comments on a quiet stream; 20 seconds
	Patience    time.Duration            // until an answer without a message becomes a stream; 10 seconds
	SlowReader  time.Duration            // for the client to take what one write sends; 30 seconds
	SlowSender  time.Duration            // for the client to send more of a body; 10 seconds
	Orphan      time.Duration            // a legacy call may go on without its client; 5 minutes
	InFlight    int                      // calls in flight on one connection that carries many; 128
	LimitsAsOK  bool                     // what a limit refuses has status 200: some clients lose the body of another one
	Capacity    int                      // calls in flight in all; 16384
	Connections int                      // open ones that carry many messages; 16384
}

func (c Config) withDefaults() Config {
	if c.Body <= 0 {
		c.Body = 4 << 20
	}
	for _, d := range []struct {
		field    *time.Duration
		fallback time.Duration
	}{
		{&c.Heartbeat, 20 * time.Second},
		{&c.Patience, 10 * time.Second},
		{&c.SlowReader, 30 * time.Second},
		{&c.SlowSender, 10 * time.Second},
		{&c.Orphan, 5 * time.Minute},
	} {
		if *d.field <= 0 {
			*d.field = d.fallback
		}
	}
	if c.InFlight <= 0 {
		c.InFlight = 128
	}
	if c.Capacity <= 0 {
		c.Capacity = 16384
	}
	if c.Connections <= 0 {
		c.Connections = 16384
	}
	if c.AllowOrigin == nil {
		c.AllowOrigin = func(string) bool { return false }
	}
	return c
}

// Deps is what the edge works with.
type Deps struct {
	Handler   rpc.Handler
	Sessions  *session.Registry
	Endpoints func(path string) bool // whether a path is an endpoint
	Log       *slog.Logger
}

// Edge serves MCP and the inference dialect over HTTP. It may be used by many goroutines at once.
//
// A call's message, header and client, and everything cut from them, are valid until
// the call's Reply is closed: the body they are read from is used again. Who needs
// them for longer copies them.
type Edge struct {
	Deps
	config     atomic.Pointer[Config]
	buffers    buffers
	capacity   capacity
	listening  *rpc.Message // stands for a GET, which has no message
	leaving    *rpc.Message // stands for a DELETE
	resuming   *rpc.Message // stands for a GET with an event's id
	connecting *rpc.Message // stands for the opening of a connection
	posting    *rpc.Message // stands for a POST whose message makes a call of its own
	checking   *rpc.Message // stands for the question whether a client may be here
	dialogues  connections
	departure  departure
}

var _ http.Handler = (*Edge)(nil)

// New returns an edge.
func New(cfg Config, deps Deps) *Edge {
	e := &Edge{
		Deps:       deps,
		listening:  rpc.NewNotification(streamRow.Name, nil),
		leaving:    rpc.NewNotification(endRow.Name, nil),
		resuming:   rpc.NewNotification(resumeRow.Name, nil),
		connecting: rpc.NewNotification(connectRow.Name, nil),
		posting:    rpc.NewNotification(postRow.Name, nil),
		checking:   rpc.NewNotification(checkRow.Name, nil),
	}
	e.Configure(cfg)
	return e
}

// Configure sets other bounds, for what comes from now on.
func (e *Edge) Configure(cfg Config) {
	cfg = cfg.withDefaults()
	e.config.Store(&cfg)
}

// cfg returns the bounds.
func (e *Edge) cfg() *Config { return e.config.Load() }

// ServeHTTP serves one request on one endpoint.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := newExchange(e, w, r)
	defer x.end()
	x.sendOff()
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}

func (x *exchange) serve() error {
	x.allowOrigin()
	endpoint, twoEndpoints := olderPath(x.r.URL.Path)
	x.endpoint = endpoint
	// A path that is escaped where it need not be is some other path to a proxy that
	// guards this one.
	if !x.Endpoints(endpoint) || x.r.URL.RawPath != "" {
		return rpc.Errorf(rpc.NoEndpoint, "no endpoint has the path %s", rpc.Excerpt(x.r.URL.Path))
	}
	if endpoint == infer.Path {
		x.speakInfer()
	}
	if err := checkFields(x.r.Header); err != nil {
		return err
	}
	if x.r.Method == http.MethodOptions {
		return x.preflight(twoEndpoints) // browsers send no credential with it
	}
	if err := x.dispatch(twoEndpoints); err != nil {
		return x.first(err)
	}
	return nil
}

func (x *exchange) dispatch(twoEndpoints bool) error {
	switch {
	case twoEndpoints:
		return x.serveOlder()
	case x.speech == &inferDialect:
		return x.serveInfer()
	}
	switch x.r.Method {
	case http.MethodPost:
		return x.post()
	case http.MethodGet:
		if wantsUpgrade(x.r) {
			return x.upgrade()
		}
		return x.get()
	case http.MethodDelete:
		return x.delete()
	}
	return wrongVerb(x.r.Method, "GET, POST, DELETE, OPTIONS")
}

// wrongVerb refuses an HTTP method and says which ones are served.
func wrongVerb(verb, allow string) error {
	err := rpc.Errorf(rpc.WrongVerb, "HTTP method %s is not served here", rpc.Excerpt(verb))
	err.Header = http.Header{"Allow": {allow}}
	return err
}
