package subscription

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// Bounds of what clients may want to hear of.
const (
	maxListens = 64      // streams of one principal
	maxURIs    = 1024    // in one stream or session
	maxURI     = 8 << 10 // bytes of one URI
	maxWaiting = 2048    // notifications that wait for one stream's client

	maxWaitingBytes = 8 << 20 // of them, where there is more than one
)

// agreeTimeout bounds how long a client waits for upstreams to agree to tell of
// changes. Those that take longer do not hold the others up.
const agreeTimeout = 5 * time.Second

// Upstream is asked to tell of changes of resources, by their URIs there.
type Upstream interface {
	// Subscribe returns those that the upstream agrees to, each of which is given up
	// by Unsubscribe; the error says why there is none.
	Subscribe(ctx context.Context, uris []string) ([]string, error)
	// Resubscribe asks for what was agreed to once, for as long as it takes. Told is called
	// when the upstream has answered, with what it refuses now; it must not block. All of
	// the URIs are to be given up by Unsubscribe.
	Resubscribe(uris []string, told func(refused []string))
	Unsubscribe(uris []string)
	// Follow and Unfollow are the same for tasks, by their ids there.
	Follow(ctx context.Context, tasks []string) ([]string, error)
	Unfollow(tasks []string)
}

// Deps is what a registry needs of the rest of the gateway.
type Deps struct {
	Log       *slog.Logger
	Upstreams map[string]Upstream // to begin with; the map must not be changed
	// Locate finds the resource that a client means by a URI; a target without an
	// upstream if there is none.
	Locate func(ctx context.Context, c *rpc.Call, uri string) *rpc.Target
	// Task finds the task that a modern client means by an id; nil if there is none.
	Task func(c *rpc.Call, id string) *rpc.Target
	// Expose gives what is said of a task of an upstream the form that the client of a call
	// can use.
	Expose func(ctx context.Context, c *rpc.Call, upstream string, m *rpc.Message) *rpc.Message
	// Post queues a notification for the stream of a legacy client's session.
	Post func(session string, m *rpc.Message)
	// Shows reports whether who calls may see a resource that an upstream calls own.
	Shows func(c *rpc.Call, upstream, own string) bool
	// Store remembers what sessions have subscribed to.
	Store Store
}

// Store remembers what the sessions of legacy clients have subscribed to, so that a later
// process takes it up again.
type Store interface {
	// Subscribed is told when an upstream has agreed. Once it returns nil, that outlives
	// a crash.
	Subscribed(ctx context.Context, session string, s state.ResourceSubscription) error
	Unsubscribed(ctx context.Context, session, uri string) error
}

// Registry is who wants to hear of what. All methods may be called concurrently.
type Registry struct {
	Deps
	upstreams atomic.Pointer[map[string]Upstream]

	mu       sync.Mutex
	closed   bool
	listens  map[*listen]struct{}
	sessions map[string]*subscriber
	topics   map[topic]map[recipient][]string // to the URIs or the id that the recipient knows it by

	seed    maphash.Seed
	writing [64]sync.Mutex // by session: the store is told of one change at a time
}

// topic is a resource by its URI at an upstream, or a task by its id there.
type topic struct {
	upstream, own string
	task          bool
}

// recipient takes notifications. It must not block.
type recipient interface {
	deliver(m *rpc.Message)
	caller() *rpc.Call // by whom it was made
}

var _ rpc.Handler = (*Registry)(nil)

// New returns a registry in which nobody wants anything.
func New(deps Deps) *Registry {
	r := &Registry{
		Deps: deps, listens: map[*listen]struct{}{}, sessions: map[string]*subscriber{},
		topics: map[topic]map[recipient][]string{}, seed: maphash.MakeSeed(),
	}
	r.upstreams.Store(&deps.Upstreams)
	return r
}

// Listening returns how many streams of modern clients stand open.
func (r *Registry) Listening() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.listens)
}

// Handle serves subscriptions/listen, resources/subscribe and resources/unsubscribe.
func (r *Registry) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	switch c.Method.Name {
	case mcp.Listen:
		return r.listen(ctx, c)
	case mcp.Subscribe:
		return r.subscribe(ctx, c)
	default:
		return r.unsubscribe(ctx, c)
	}
}

// Broadcast tells all streams on matching endpoints that asked for it that a list has
// changed.
func (r *Registry) Broadcast(match func(endpoint string) bool, method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.listens {
		if l.filter.lists[method] && match(l.endpoint) {
			l.deliver(rpc.NewNotification(method, nil))
		}
	}
}

// Updated tells those who want to hear of it that an upstream's resource has changed.
// What nobody wants to hear of is dropped.
func (r *Registry) Updated(upstream string, m *rpc.Message) {
	uri, ok := m.Text("uri")
	if !ok || len(uri) > maxURI {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := map[recipient]bool{}
	for parent := range ancestors(uri) {
		for to, names := range r.topics[topic{upstream: upstream, own: parent}] {
			if told[to] || parent != uri && !r.Shows(to.caller(), upstream, uri) {
				continue // who may read a resource may not read each of its parts
			}
			told[to] = true
			for _, known := range names {
				out := m.Fork()
				if exposed := known + uri[len(parent):]; exposed != uri {
					out.Set("uri", rpc.AppendString(nil, exposed))
				}
				withoutTag(out)
				to.deliver(out)
			}
		}
	}
}

// TaskChanged tells those who want to hear of it how an upstream's task is doing (SEP-2663).
func (r *Registry) TaskChanged(upstream string, m *rpc.Message) {
	own, ok := m.Text("taskId")
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for to, names := range r.topics[topic{upstream, own, true}] {
		for _, known := range names {
			out := m.Fork()
			out.Set("taskId", rpc.AppendString(nil, known))
			withoutTag(out)
			to.deliver(out)
		}
	}
}

// withoutTag takes out what belongs to the subscription upstream.
func withoutTag(m *rpc.Message) {
	if _, tagged := m.Meta(mcp.MetaSubscription); !tagged {
		return
	}
	meta, _ := m.Get("_meta")
	if o, err := rpc.ReadObject(meta); err == nil && o.Len() == 1 {
		m.Drop("_meta")
		return
	}
	m.DropMeta(mcp.MetaSubscription)
}

// EndStreams ends all streams and refuses new ones.
func (r *Registry) EndStreams() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for l := range r.listens {
		l.end()
	}
}

// join adds a recipient to a topic, under a name. The lock is held.
func (r *Registry) join(t topic, to recipient, exposed string) {
	if r.topics[t] == nil {
		r.topics[t] = map[recipient][]string{}
	}
	r.topics[t][to] = append(r.topics[t][to], exposed)
}

// leave takes a name from a recipient of a topic. The lock is held.
func (r *Registry) leave(t topic, to recipient, exposed string) {
	names := slices.DeleteFunc(r.topics[t][to], func(known string) bool { return known == exposed })
	if len(names) > 0 {
		r.topics[t][to] = names
		return
	}
	delete(r.topics[t], to)
	if len(r.topics[t]) == 0 {
		delete(r.topics, t)
	}
}
