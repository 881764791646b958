package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/router/bridge"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/conversation"
	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/router/pin"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state/embedded"
	"github.com/headgate/headgate/state/seal"
	"github.com/headgate/headgate/telemetry"
	"github.com/headgate/headgate/upstream"
)

// Options is what a gateway is made of beside its configuration.
type Options struct {
	Log *slog.Logger
	// LinesLost returns how many lines of the log were lost; nil where that is not known.
	LinesLost func() int64
	Version   string // as shown to clients and upstreams
	// Environ is the environment of the process, as os.Environ returns it. Child processes see an allow-listed part of it.
	Environ []string
	// Load reads the configuration again, for [Gateway.ReloadFiles]; nil if that cannot be done.
	Load Load
	// Overridden are the paths of settings that are what the command line says, whatever the files say.
	Overridden []string
	// Listeners are those that another process left, by the names that [Gateway.Sockets] gives them. Those at the
	// configured addresses are used, and all of them are the gateway's to close.
	Listeners map[string]net.Listener
}

// Gateway is one running gateway. Make it with [New], then [Gateway.Start] it, and
// [Gateway.Stop] it when it is no longer needed, started or not.
type Gateway struct {
	now      atomic.Pointer[generation] // what follows from the configuration; all else outlives it
	log      *slog.Logger
	written  *slog.Logger       // log, of what no client is to read
	journal  *telemetry.Journal // what clients may read of the log
	version  string
	environ  []string
	started  time.Time
	info     json.RawMessage // who we are, as an Implementation object
	keys     *seal.Keyring
	http     *upstream.Client
	sessions *session.Registry
	said     *conversation.Keeper
	pins     *pin.Book
	catalog  *catalog.Catalog
	bridge   *bridge.Bridge
	tokens   infer.Estimator    // of prompts
	engine   *embedded.Engine   // nil without a data directory
	jobs     *job.Jobs          // likewise
	trail    *policy.AuditTrail // nil without an audit log

	mirrors *route.Mirrors
	routed  bool                // whether any generation has had routing rules; reloads come one after another
	spans   *telemetry.Exporter // nil where nothing is traced

	subscriptions *subscription.Registry
	calls         *live.Registry // those in flight

	observers []rpc.Observer // of all calls
	messages  rpc.Middleware // shows them in the log, where it is to
	measures  measures
	linesLost func() int64 // of the log

	load      Load // nil if there is nothing to read again
	overrides []string
	reloads   reloads
	life      context.Context //nolint:containedctx // of what goes on after a reload, ended by endLife
	endLife   context.CancelFunc
	reloading sync.Mutex // one reload at a time
	stopping  atomic.Bool
	waits     context.Context //nolint:containedctx // of reloads for upstreams, ended by endWaits
	endWaits  context.CancelFunc
	parting   parting

	listeners map[string]net.Listener
	inherited map[string]net.Listener // not used yet
	clients   *clients                // nil before it is started
	hurry     bool                    // calls in flight get no time when it stops
	failed    chan error              // a listener that broke
	ready     atomic.Bool
	stops     []stop
}

// New builds a gateway from a valid configuration. It opens no listener and asks no
// upstream; errors are those of files and keys that the configuration names. The
// gateway's background work ends with ctx.
func New(ctx context.Context, cfg *config.Config, opts Options) (*Gateway, error) {
	info, err := json.Marshal(map[string]string{"name": "headgate", "title": "Headgate", "version": opts.Version})
	if err != nil {
		return nil, fmt.Errorf("server info: %w", err)
	}
	g := &Gateway{
		log: opts.Log, linesLost: opts.LinesLost, version: opts.Version, environ: opts.Environ, load: opts.Load, overrides: opts.Overridden, started: time.Now(), info: info,
		calls: live.New(kindOf), listeners: map[string]net.Listener{}, inherited: opts.Listeners, failed: make(chan error, 2),
	}
	if g.linesLost == nil {
		g.linesLost = func() int64 { return 0 }
	}
	g.life, g.endLife = context.WithCancel(ctx)
	g.waits, g.endWaits = context.WithCancel(g.life)
	g.observers = []rpc.Observer{g.calls}
	g.openJournal(cfg)
	if err := g.build(ctx, cfg); err != nil {
		return nil, errors.Join(err, g.Stop(ctx))
	}
	return g, nil
}

// Start opens the listeners and serves. It returns as soon as clients can connect;
// [Gateway.Warm] waits for the upstreams.
func (g *Gateway) Start(ctx context.Context) error {
	if err := g.listen(ctx); err != nil {
		return err
	}
	if err := g.startJobs(ctx); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	g.ready.Store(true)
	g.generation().beginModels()
	return nil
}

// Warm waits until every upstream has listed its tools or failed, or ctx ends. The
// gateway serves all the while.
func (g *Gateway) Warm(ctx context.Context) { g.catalog.Warm(ctx) }

// Config returns the configuration that is in force. It is not the caller's to change.
func (g *Gateway) Config() *config.Config { return g.generation().cfg }

// Failed delivers the error of a listener that stopped by itself.
func (g *Gateway) Failed() <-chan error { return g.failed }

// Addr returns the address clients connect to, with the port that was chosen if the
// configuration says 0. It is empty before [Gateway.Start].
func (g *Gateway) Addr() string { return g.addr(clientListener) }

// AdminAddr returns the address of the admin listener, empty before [Gateway.Start].
func (g *Gateway) AdminAddr() string { return g.addr(adminListener) }

func (g *Gateway) addr(name string) string {
	if l := g.listeners[name]; l != nil {
		return l.Addr().String()
	}
	return ""
}

// URL returns the address of the endpoint that merges all upstreams.
func (g *Gateway) URL() string {
	scheme := "http"
	if g.generation().cfg.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + g.Addr() + "/mcp"
}

// isLoopback reports whether an address to listen on is reachable from this machine
// only.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
