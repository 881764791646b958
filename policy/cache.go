package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Cache answers calls with what was answered to the same call before. Only what a server
// or the operator allows is kept, and for nobody but the caller, unless both say that
// others may have it. It may be used by many goroutines at once.
type Cache struct {
	store    state.Cache
	tools    config.CachedTools
	models   config.CachedModels
	unsaid   time.Duration // how long what its server says nothing of is kept
	share    bool
	lifetime func(*rpc.Message, rpc.Revision) *rpc.Lifetime
	log      *slog.Logger
	asked    atomic.Uint64 // how often an answer was looked for
	hits     atomic.Uint64 // of that, how often there was one
	flights  flights
	revivals revivals
}

// NewCache returns the cache of a configuration. Lifetime reads what a server that spoke
// a revision says of a result's. The cache's background work ends with ctx or
// [Cache.Close].
func NewCache(ctx context.Context, c config.Cache, store state.Cache, lifetime func(*rpc.Message, rpc.Revision) *rpc.Lifetime, log *slog.Logger) *Cache {
	out := &Cache{models: c.Models, store: store, tools: c.Tools, unsaid: c.Lists.TTL, share: c.SharePublic, lifetime: lifetime, log: log}
	out.flights.init()
	out.revivals.ending, out.revivals.end = context.WithCancelCause(ctx) //nolint:fatcontext // it is made once
	return out
}

// Close ends the calls that nobody waits for, and waits for them as long as ctx lasts.
func (c *Cache) Close(ctx context.Context) error { return c.revivals.close(ctx) }

// Middleware answers what it can and keeps what it may.
func (c *Cache) Middleware(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
		if !c.Concerns(call) {
			return next.Handle(ctx, call)
		}
		k, ok := c.keysOf(call)
		if !ok {
			return next.Handle(ctx, call)
		}
		hit, mark := c.look(ctx, k)
		c.asked.Add(1)
		if hit != nil {
			c.hits.Add(1)
			if hit.Fresh <= 0 {
				c.revive(ctx, call, k, mark, next)
			}
			return c.respondWith(call, hit), nil
		}
		return c.fetch(ctx, call, k, mark, next)
	})
}

// Lookups returns for how many calls an answer was looked for, and for how many of them there was one. What is shared by
// equal calls at the same time counts as missing.
func (c *Cache) Lookups() (hits, misses uint64) {
	hits = c.hits.Load() // first, so that there are never more hits than lookups
	return hits, c.asked.Load() - hits
}

// Concerns reports whether the answer to a call may be one that was given before: to a
// read, or to a tool that the operator chose and that its server marks, or of a model that
// the operator chose. A call that
// goes on with another one, or says what no key knows of, is not like any other.
func (c *Cache) Concerns(call *rpc.Call) bool {
	t := &call.Target
	switch {
	case !call.Message.IsRequest() || t.Upstream == "":
		return false
	case t.Kind == rpc.Model:
		return c.keepsModel(call)
	case t.Kind == rpc.Resource && call.Method.Cacheable:
	case t.Kind == rpc.Tool && t.Cacheable && c.tools.Keeps(t.Canonical):
	default:
		return false
	}
	return len(call.Message.Params) <= maxKeyed && ordinaryParams(call.Message)
}

// maxKeyed bounds the params of calls whose answers are kept: to look for the answer to
// longer ones costs more than it saves.
const maxKeyed = 8 << 10

// ordinaryParams reports whether the params of a call have no member that could change its
// answer and that keys know nothing of.
func ordinaryParams(m *rpc.Message) bool {
	return m.HasOnly("name", "uri", "arguments", "_meta") && m.MetaHasOnly("progressToken", "traceparent", "tracestate", "baggage",
		"io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo",
		"io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/logLevel")
}

// cacheKeys are where the answer to a call may be kept.
type cacheKeys struct {
	own    state.CacheKey // for its caller
	public state.CacheKey // for everybody
	shared bool           // whether that is allowed
}

// keysOf returns false for a call that can have none.
func (c *Cache) keysOf(call *rpc.Call) (k cacheKeys, ok bool) {
	if call.Target.Kind == rpc.Model {
		k.own, ok = modelKey(call)
		return k, ok
	}
	k.own = keyOf(call, false)
	if k.shared = c.share && call.Target.Kind == rpc.Resource; k.shared {
		k.public = keyOf(call, true)
	}
	return k, true
}

// keyOf makes the key of a call: all that its answer depends on. A public key leaves out
// who calls.
func keyOf(call *rpc.Call, public bool) state.CacheKey {
	var space [512]byte
	out := append(space[:0], 1)
	if public {
		out[0] = 2
	} else {
		p := &call.Principal
		out = part(part(part(part(out, p.Org), p.Team), p.Key), p.User)
		if len(call.Client.Capabilities) > len("{}") { // a server that asks the session may answer for it alone
			out = part(out, call.Client.Session)
		}
	}
	out = part(part(part(out, call.Endpoint), string(call.Client.Revision)), call.Method.Name)
	out = part(part(part(out, call.Target.Upstream), call.Target.Own), call.Target.Exposed)
	arguments, _ := call.Message.Get("arguments")
	for _, text := range [][]byte{arguments, call.Client.Capabilities} {
		out = append(binary.AppendUvarint(out, uint64(len(text))), text...)
	}
	return sha256.Sum256(out)
}

// look finds the answer to a call, among what others may have too last.
func (c *Cache) look(ctx context.Context, k cacheKeys) (*state.Cached, state.CacheMark) {
	hit, mark := c.get(ctx, k.own)
	if hit == nil && k.shared {
		hit, _ = c.get(ctx, k.public)
	}
	return hit, mark
}

// get reads the store, whose failures cost a fetch and nothing more.
func (c *Cache) get(ctx context.Context, key state.CacheKey) (*state.Cached, state.CacheMark) {
	hit, mark, err := c.store.Get(ctx, key)
	if err != nil || hit.Value == nil {
		return nil, mark
	}
	kept := hit // only a hit is worth an allocation
	return &kept, mark
}

// respondWith answers a call with a result that was kept. What that says of its lifetime
// is less by its age.
func (c *Cache) respondWith(call *rpc.Call, hit *state.Cached) *rpc.Reply {
	call.Record.Note(rpc.CacheHit, freshness(hit), 0)
	if call.Target.Kind == rpc.Model {
		return replay(call.Message.ID, hit.Value)
	}
	m := rpc.NewResult(call.Message.ID, hit.Value)
	if life := c.lifetime(m, ""); life.Said {
		m.Set("ttlMs", rpc.AppendInt(nil, max(life.TTL-hit.Age, 0).Milliseconds()))
	}
	return rpc.Respond(m)
}

// freshness says what was kept: an answer that is as good as a new one, one that is not, or
// one that somebody else has just been given.
func freshness(hit *state.Cached) string {
	switch {
	case hit.Fresh > 0:
		return "fresh"
	case hit.Age > 0:
		return "stale"
	}
	return "shared"
}

// Invalidate forgets what an upstream answered: of one resource, or of all and of its
// tools where the URI is empty.
func (c *Cache) Invalidate(ctx context.Context, upstream, uri string) {
	tag := upstream
	if uri != "" {
		tag = resourceTag(upstream, uri)
	}
	if err := c.store.Invalidate(ctx, tag); err != nil {
		c.log.WarnContext(ctx, "the cache may keep what has changed", "upstream", upstream, "error", err)
	}
}

func resourceTag(upstream, uri string) string { return upstream + "\x00" + uri }
