package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// Defaults for what a configuration leaves open.
const (
	defaultTimeout    = 60 * time.Second
	defaultMaxTimeout = time.Hour
	defaultMaxResult  = 16 << 20
)

// Identity is how the gateway introduces itself to upstreams where no client is
// concerned.
type Identity struct{ Name, Version string }

// Deps is what a [Server] needs of the process it is part of.
type Deps struct {
	Log      *slog.Logger
	HTTP     *upstream.Client // for upstreams that have a URL
	Identity Identity
	// Environ is the gateway's own environment, as os.Environ returns it. Child
	// processes see what an allow-list takes from it and nothing else.
	Environ []string
	// MaxResult bounds one message of the upstream, in bytes. 0 means 16 MiB.
	MaxResult int64
	// SessionEnded is told of each session with a legacy upstream that has ended: by its transport, what was spoken, and how long it
	// lasted. It must not block. Nil tells nobody.
	SessionEnded func(upstream, transport string, spoken rpc.Revision, lasted time.Duration)
}

// Server is one upstream MCP server. All its methods may be called concurrently,
// but OnNotice, OnLog, OnVisited and Close only once.
type Server struct {
	cfg    config.Upstream
	log    *slog.Logger
	fault  fault
	info   json.RawMessage // the gateway's own Implementation object
	life   *lifetime
	dial   dialer
	pinned bool
	about  rpc.Hop // what is noted of each call; the revision is the link's

	eras    atomic.Pointer[eras] // nil until the server was asked
	flights singleflight.Group
	turns   turns
	links   links
	lanes   lanes
	board   *board
	watch   *watch
	tasks   tasks
	notice  atomic.Pointer[func(*rpc.Message)]
	logged  atomic.Pointer[func(Log)]
	visits  atomic.Pointer[func(session string, m *rpc.Message)]
	asides  quota
}

var _ rpc.Handler = (*Server)(nil)

// New returns the server that cfg describes. It does no I/O: the first call connects.
// The error is one of the configuration.
func New(cfg config.Upstream, deps Deps) (*Server, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.MaxTimeout == 0 {
		cfg.MaxTimeout = max(defaultMaxTimeout, cfg.Timeout)
	}
	if deps.MaxResult == 0 {
		deps.MaxResult = defaultMaxResult
	}
	info, err := json.Marshal(map[string]string{"name": deps.Identity.Name, "version": deps.Identity.Version})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	s := &Server{
		cfg: cfg, log: deps.Log.With("upstream", cfg.Name), fault: fault{cfg.Name},
		info: info, life: newLifetime(),
	}
	pin, err := pinnedEras(cfg)
	if err != nil {
		return nil, err
	}
	s.pinned = pin != nil
	s.eras.Store(pin)
	if s.dial, err = newDialer(s, deps); err != nil {
		return nil, err
	}
	s.about = rpc.Hop{Upstream: cfg.Name, Backend: backendOf(cfg), Transport: s.dial.transport()}
	s.links.lasted = lastedOf(cfg.Name, s.dial.transport(), deps.SessionEnded)
	s.board = newBoard(s.log, s.dial.transport())
	s.watch = newWatch(s)
	if cfg.Disabled != "" {
		s.board.disable(errors.New(cfg.Disabled))
	}
	return s, nil
}

// newDialer chooses the transport: a command is spoken to over its standard input
// and output, a URL over what the configuration says, by default Streamable HTTP.
func newDialer(s *Server, deps Deps) (dialer, error) {
	switch {
	case s.cfg.Disabled != "":
		return noDialer{}, nil
	case s.cfg.Command != "" && s.cfg.URL != "":
		return nil, errors.New("command and url exclude each other")
	case s.cfg.Command != "":
		return newStdioDialer(s, deps), nil
	case s.cfg.URL == "":
		return nil, errors.New("a command or a url is needed")
	}
	switch s.cfg.Transport {
	case "", overHTTP:
		return newHTTPDialer(s, deps)
	case overSSE:
		return newSSEDialer(s, deps)
	case overWS:
		return newWSDialer(s, deps)
	}
	return nil, fmt.Errorf("transport %q is not implemented", s.cfg.Transport)
}

// backendOf returns where an upstream is, HOST:PORT; nothing for a program.
func backendOf(cfg config.Upstream) string {
	at, err := url.Parse(cfg.URL)
	if err != nil || at.Host == "" {
		return ""
	}
	port := at.Port()
	switch {
	case port != "":
	case at.Scheme == "https" || at.Scheme == "wss":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(at.Hostname(), port)
}

// lastedOf tells of the links that are sessions: those of the legacy era.
func lastedOf(name, transport string, tell func(string, string, rpc.Revision, time.Duration)) func(link, time.Duration) {
	if tell == nil {
		return nil
	}
	return func(l link, lasted time.Duration) {
		if h := l.hop(); h.era == rpc.Legacy {
			tell(name, transport, h.revision, lasted)
		}
	}
}

// Name returns the name that the configuration gives the upstream.
func (s *Server) Name() string { return s.cfg.Name }

// State returns what was last seen of the upstream, without asking it.
func (s *Server) State() State { return s.board.read() }

// OnNotice sets who is told of notifications that belong to no call, such as
// list_changed. It is set before the first call. f must not block; the message is f's to keep.
func (s *Server) OnNotice(f func(m *rpc.Message)) { s.notice.Store(&f) }

// Handle sends a call to the upstream. The reply's Revision is what was spoken with
// it. If the session or process that the call was meant for turns out to have ended before the
// call could run, it is opened again and the call repeated, once.
func (s *Server) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	reply, err := s.try(ctx, c, false)
	if _, again := errors.AsType[*stale](err); again {
		c.Record.Again("link ended")
		reply, err = s.try(ctx, c, true)
	}
	if err != nil {
		s.blame(err)
		if old, still := errors.AsType[*stale](err); still {
			err = marked(old.cause)
		}
		return nil, err
	}
	return reply, nil
}

// try sends a call once. The final try takes every answer for one.
func (s *Server) try(ctx context.Context, c *rpc.Call, final bool) (*rpc.Reply, error) {
	attempt := c.Record.Try(s.about)
	k, l, err := s.linkFor(ctx, c)
	if err != nil {
		attempt.End(err)
		return nil, notRun(err)
	}
	if k.private() {
		defer s.links.hold(k, l, -1)
	}
	h := l.hop()
	s.raise(ctx, l, c)
	attempt.Speak(h.revision)
	x := newExchange(c, h)
	x.try = attempt
	x.propagate()
	x.final = final
	source, err := s.start(ctx, k, l, x)
	if err != nil {
		attempt.End(err)
		s.lanes.give(k)
		if old, ok := errors.AsType[*stale](err); ok {
			s.discard(k, l, old)
		}
		return nil, err
	}
	reply := rpc.NewReply(s.inLane(k, l, source))
	reply.Revision = h.revision
	return reply, nil
}

// start sends a call the way its target is called.
func (s *Server) start(ctx context.Context, k linkKey, l link, x *exchange) (rpc.Source, error) {
	if x.call.Target.Task && x.hop.era == rpc.Legacy && x.call.Method.Name == mcp.ToolsCall {
		return s.startTask(ctx, k, l, x)
	}
	return l.send(ctx, x)
}

// blame notes in the state that the upstream cannot be used.
func (s *Server) blame(err error) {
	if e, ok := errors.AsType[*rpc.Error](err); ok && e.Code == rpc.UpstreamDown && s.life.Err() == nil {
		s.board.down(e)
	}
}

// Describe returns what the upstream says of itself. It connects if that has not
// happened yet, and asks again if the answer has become old.
func (s *Server) Describe(ctx context.Context) (Description, error) {
	gateway := &rpc.Call{Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}}
	_, l, err := s.linkFor(ctx, gateway)
	if err != nil {
		return Description{}, err
	}
	s.refresh(ctx, l)
	return *l.description(), nil
}

// EndSession ends the links that a client session had to itself.
func (s *Server) EndSession(key string) { s.retire(s.links.endSession(key)) }

// Close ends all links: sessions are deleted, processes get their input closed, then
// SIGTERM, then SIGKILL. It returns when nothing of the upstream runs any more, or with the
// cause of ctx. Calls to a stateless server are their callers' to end.
func (s *Server) Close(ctx context.Context) error {
	s.life.refuse()
	closeAll(ctx, s.links.end())
	s.dial.close(ctx)
	return s.life.end(ctx)
}

// announce passes on a notification that belongs to no call.
func (s *Server) announce(m *rpc.Message) {
	if f := s.notice.Load(); f != nil {
		(*f)(m.Clone())
	}
}
