package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// checkTimeout bounds asking others about one credential. It is shorter than the time
// after which an answer becomes a stream, which could not be a 401 any more.
const checkTimeout = 8 * time.Second

func errSlow() error {
	return &rpc.Error{Code: rpc.AuthDown, Message: "the credential could not be checked in time; try again later", RetryAfter: keysAgain}
}

// Deps is what a gate works with.
type Deps struct {
	Log *slog.Logger
	// KeyFile is the path of the file with the keys that were made by command; empty
	// if there is none. It need not exist.
	KeyFile string
	// Endpoints reports whether a path is an endpoint.
	Endpoints func(path string) bool
	// Former is the gate whose place this one takes; nil if there is none. What it knows of those who try, of issuers and
	// of tokens is gone on with, as far as it means the same.
	Former *Gate
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Gate finds out who calls. It may be used by many goroutines at once.
type Gate struct {
	log           *slog.Logger
	now           func() time.Time
	resources     *resources
	keys          *keys
	tries         *tries
	cache         *cache
	jwts          *jwts
	introspectors []*introspector
	certificates  []config.Certificate
	anonymous     *rpc.Principal
}

// New makes a gate. It reads files and asks nobody. The error is that of the key file
// or of a key in the configuration.
func New(cfg *config.Auth, deps Deps) (*Gate, error) {
	g := &Gate{
		log: deps.Log, now: deps.Now, resources: newResources(cfg, deps.Endpoints),
		tries: newTries(), cache: newCache(), certificates: cfg.Certificates,
	}
	former := deps.Former
	if former == nil {
		former = &Gate{jwts: &jwts{}}
	} else {
		g.tries = former.tries
	}
	if g.now == nil {
		g.now = time.Now
	}
	if a := cfg.Anonymous; a != nil {
		g.anonymous = &rpc.Principal{Org: a.Org, Team: a.Team, Scopes: a.Scopes}
	}
	fixed, err := configured(cfg.Keys)
	if err != nil {
		return nil, err
	}
	if g.keys, err = newKeys(fixed, deps.KeyFile, deps.Log, former.keys); err != nil {
		return nil, err
	}
	if g.jwts, err = newJWTs(cfg.JWT, g.now, former.jwts); err != nil {
		return nil, err
	}
	for _, c := range cfg.Introspection {
		i := former.introspector(c)
		if i == nil {
			if i, err = newIntrospector(c); err != nil {
				return nil, err
			}
		}
		g.introspectors = append(g.introspectors, i)
	}
	if former.cache != nil && slices.Equal(former.jwts.order, g.jwts.order) && slices.Equal(former.introspectors, g.introspectors) {
		g.cache = former.cache
	}
	return g, nil
}

// introspector returns the one that asks as a configuration says; nil if there is none.
func (g *Gate) introspector(cfg config.Introspection) *introspector {
	cfg.Position = config.Position{}
	for _, i := range g.introspectors {
		have := i.cfg
		if have.Position = cfg.Position; have == cfg {
			return i
		}
	}
	return nil
}

// Close waits for what is being asked of identity providers. No call may be in flight.
func (g *Gate) Close() { g.Retire(&Gate{jwts: &jwts{}}) }

// Retire is Close for a gate whose place another one has taken, which may go on with parts of it.
func (g *Gate) Retire(next *Gate) {
	for _, i := range g.jwts.order {
		if i.set != nil && !slices.Contains(next.jwts.order, i) {
			i.set.close()
		}
	}
	for _, i := range g.introspectors {
		if !slices.Contains(next.introspectors, i) {
			i.close()
		}
	}
}

// Bearer returns who has the API key of a name, so that an operator can ask what it may
// do.
func (g *Gate) Bearer(id string) (rpc.Principal, bool) { return g.keys.bearer(id) }

// Metadata serves what clients look for at [MetadataPath] and below.
func (g *Gate) Metadata() http.Handler { return g.resources }

// Authenticate writes into each call who makes it, or refuses it. Sessions and other
// handles are no credentials: every call brings its own (MCP 2026-07-28,
// Authorization).
func (g *Gate) Authenticate(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		p, err := g.identify(ctx, c)
		if err != nil {
			return nil, err
		}
		c.Principal = p
		return next.Handle(ctx, c)
	})
}

func (g *Gate) identify(ctx context.Context, c *rpc.Call) (rpc.Principal, error) {
	credential, err := credentialOf(c.Header)
	if err != nil {
		return rpc.Principal{}, err
	}
	if credential == "" {
		return g.withoutCredential(c)
	}
	now := g.now()
	from := c.Remote.Addr()
	wait := g.tries.wait(from, now)
	d := digestOf(credential)
	if k, table := g.keys.find(&d, now); k != nil && (wait == 0 || table.isKnown(k, from)) {
		table.note(k, from)
		return k.principal, nil
	}
	known := g.cache.get(&d, now)
	if wait > 0 && (known == nil || known.refusal != nil) {
		return rpc.Principal{}, &rpc.Error{
			Code: rpc.TooManyTries, Message: "too many wrong credentials came from this address", RetryAfter: wait,
		}
	}
	if known == nil {
		limited, cancel := context.WithTimeoutCause(ctx, checkTimeout, errSlow())
		defer cancel()
		if known, err = g.findOut(limited, d, credential, now); err != nil {
			return rpc.Principal{}, err
		}
	}
	return g.judge(c, known, now)
}

// withoutCredential is for calls that bring none, unless the connection does.
func (g *Gate) withoutCredential(c *rpc.Call) (rpc.Principal, error) {
	if p, ok := g.bearer(c.TLS); ok {
		return p, nil
	}
	if g.anonymous != nil {
		return *g.anonymous, nil
	}
	return rpc.Principal{}, g.missing(c)
}

// judge applies what is known of a token to a call.
func (g *Gate) judge(c *rpc.Call, known *finding, now time.Time) (rpc.Principal, error) {
	refused := known.refusal
	switch id := known.identity; {
	case refused != nil:
	case !id.meantFor(g.resources, c.Endpoint):
		refused = &refusal{reason: "it is meant for somebody else", benign: true}
	case id.bound != "" && !holds(c.TLS, id.bound):
		refused = &refusal{reason: "it is bound to a certificate that the client does not present"}
	default:
		return id.principal, nil
	}
	if !refused.benign && g.tries.failed(c.Remote.Addr(), now) {
		g.shutOut(c)
	}
	return rpc.Principal{}, g.refused(c, refused)
}

// shutOut tells the operator of an address whose credentials are not looked at any
// more. That of a proxy stands for all who come through it.
func (g *Gate) shutOut(c *rpc.Call) {
	hint := ""
	if len(c.Header["X-Forwarded-For"]) > 0 {
		hint = "it may be a proxy's: trusted_proxies names those whose X-Forwarded-For says who the client is"
	}
	g.log.Warn("too many wrong credentials came from an address", "remote", c.Remote.Addr().String(), "hint", hint)
}

// unknown is why a credential is not good that nobody knows anything of.
const unknown = "it is not known here"

// findOut checks a token that nothing is known of. The error is what kept it from being
// checked; a token that is not good is a finding.
func (g *Gate) findOut(ctx context.Context, d digest, token string, now time.Time) (*finding, error) {
	if strings.HasPrefix(token, keyPrefix) {
		return &finding{refusal: &refusal{reason: unknown}}, nil // a key that is good no more, or elsewhere, is nobody else's business
	}
	if i := g.jwts.of(token); i != nil {
		f, err := findingOf(i.verify(ctx, token))
		if err == nil && f.identity != nil {
			g.cache.put(&d, f, now, verifiedFor)
		}
		return f, err
	}
	return g.ask(ctx, d, token, now)
}

// ask asks all servers about a token until one calls it active. Answers are kept, the
// bad ones too: they are asked for over the network.
func (g *Gate) ask(ctx context.Context, d digest, token string, now time.Time) (*finding, error) {
	found := &finding{refusal: &refusal{reason: unknown}}
	var longest time.Duration
	for _, i := range g.introspectors {
		var err error
		if found, err = findingOf(i.verify(ctx, d, token, now)); err != nil {
			return nil, err
		}
		if longest = i.cfg.Cache; found.identity != nil {
			break
		}
	}
	g.cache.put(&d, found, now, longest)
	return found, nil
}

// findingOf tells a token that is not good from one that could not be checked.
func findingOf(id *identity, err error) (*finding, error) {
	if err == nil {
		return &finding{identity: id}, nil
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return &finding{refusal: refused}, nil
	}
	return nil, err
}
