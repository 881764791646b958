package mcpserver

import (
	"context"
	"slices"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// watch is what the gateway wants to be told of by an upstream: changes of its lists,
// and of the resources that somebody here has subscribed to. One subscription
// upstream serves all who want the same. What is wanted is noted here; a [keeper]
// makes the upstream agree with it.
type watch struct {
	s    *Server
	wake chan struct{} // what is wanted has changed, or what was agreed may have ended

	mu      sync.Mutex
	running bool
	wanted  map[string]int // URIs, and how many want each
	version uint64         // rises with every change of wanted
	tried   outcome        // what the keeper last achieved
	news    chan struct{}  // closed when tried changes
	doubted bool           // a link may have ended without our being told
	later   []*resumption  // those who are to be told what became of a version
}

// resumption is what was subscribed to before, and who is to be told what becomes of it.
type resumption struct {
	uris    []string
	version uint64
	told    func(refused []string)
}

// outcome is what became of a version of what is wanted.
type outcome struct {
	version uint64
	refused map[string]error // the URIs that are not watched
	err     error            // why none is
}

func newWatch(s *Server) *watch {
	return &watch{s: s, wake: make(chan struct{}, 1), wanted: map[string]int{}, news: make(chan struct{})}
}

// Subscribe asks the upstream to tell of changes of resources, by their URIs there. It
// returns those that it agrees to, each of which is to be given up by Unsubscribe; the error
// says why there is none, and is a *rpc.WireError if the upstream's own words do. The
// notifications come to the function given to OnNotice.
func (s *Server) Subscribe(ctx context.Context, uris []string) ([]string, error) {
	w := s.watch
	version := w.add(uris)
	got, err := w.await(ctx, version)
	if err != nil {
		w.drop(uris)
		return nil, err
	}
	var agreed, refused []string
	for _, uri := range uris {
		if why := got.refused[uri]; why != nil {
			refused, err = append(refused, uri), why
			continue
		}
		agreed = append(agreed, uri)
	}
	w.drop(refused)
	if len(agreed) > 0 {
		err = nil
	}
	return agreed, err
}

// Resubscribe asks the upstream again, in the background and until it has answered, to tell
// of URIs that it agreed to before. Then told is called, once, with those that it refuses
// now; it must not block. All of the URIs are to be given up by Unsubscribe.
func (s *Server) Resubscribe(uris []string, told func(refused []string)) {
	s.watch.resume(&resumption{uris: uris, told: told})
}

// Unsubscribe gives up what Subscribe agreed to. The upstream is told in the
// background, when nobody else wants it.
func (s *Server) Unsubscribe(uris []string) { s.watch.drop(uris) }

// add notes that somebody wants URIs and returns the version to wait for.
func (w *watch) add(uris []string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.want(uris)
}

// resume is add for those who do not wait.
func (w *watch) resume(r *resumption) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.version = w.want(r.uris)
	w.later = append(w.later, r)
}

// want notes that URIs are wanted. The lock is held.
func (w *watch) want(uris []string) uint64 {
	for _, uri := range uris {
		if w.wanted[uri]++; w.wanted[uri] == 1 {
			w.version++
		}
	}
	if w.tried.err != nil {
		w.version++ // that it failed then does not answer who asks now
	}
	w.start()
	return w.version
}

// drop notes that somebody does not want URIs any more.
func (w *watch) drop(uris []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, uri := range uris {
		if w.wanted[uri]--; w.wanted[uri] <= 0 {
			delete(w.wanted, uri)
			w.version++
		}
	}
	w.stir()
}

// start runs the keeper, which lasts as long as the server. The lock is held.
func (w *watch) start() {
	if !w.running {
		w.running = w.s.life.run(func() { newKeeper(w).run() })
	}
	w.stir()
}

// stir makes the keeper look again.
func (w *watch) stir() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// opened notes that there is a link that all share. Modern servers tell of their
// lists on a subscription only, legacy ones on every session.
func (w *watch) opened(d *Description) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || d.Era == rpc.Modern && len(listsOf(d)) > 0 {
		w.start()
	}
}

// doubt notes that a session may have ended unnoticed.
func (w *watch) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubted = true
	w.stir()
}

// takeDoubt reports whether there is doubt, and forgets it.
func (w *watch) takeDoubt() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubted := w.doubted
	w.doubted = false
	return doubted
}

// all returns the URIs that are wanted, sorted, and the version that is.
func (w *watch) all() ([]string, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	uris := make([]string, 0, len(w.wanted))
	for uri := range w.wanted {
		uris = append(uris, uri)
	}
	slices.Sort(uris)
	return uris, w.version
}

// settle tells those who wait what was achieved.
func (w *watch) settle(o outcome) {
	for _, r := range w.note(o) {
		r.told(slices.DeleteFunc(slices.Clone(r.uris), func(uri string) bool { return o.refused[uri] == nil }))
	}
}

// note notes what was achieved, and returns who is to be told.
func (w *watch) note(o outcome) (answered []*resumption) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tried = o
	close(w.news)
	w.news = make(chan struct{})
	if o.err != nil {
		return nil
	}
	w.later = slices.DeleteFunc(w.later, func(r *resumption) bool {
		if r.version > o.version {
			return false
		}
		answered = append(answered, r)
		return true
	})
	return answered
}

// await waits until a version has been tried.
func (w *watch) await(ctx context.Context, version uint64) (outcome, error) {
	for {
		w.mu.Lock()
		got, news, running := w.tried, w.news, w.running
		w.mu.Unlock()
		switch {
		case !running:
			return outcome{}, w.s.fault.down(errClosed, "is shutting down")
		case got.version >= version:
			return got, got.err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return outcome{}, context.Cause(ctx)
		case <-w.s.life.Done():
			return outcome{}, w.s.fault.down(errClosed, "is shutting down")
		}
	}
}

// listsOf returns the lists whose changes a server says it tells of.
func listsOf(d *Description) []listKind {
	return slices.DeleteFunc(slices.Clone(listKinds), func(k listKind) bool { return !d.promises(k.capability, "listChanged") })
}

// listKind is a kind of list: the capability it belongs to, the member of a
// subscription that asks for its changes, and the notification that tells of them.
type listKind struct{ capability, filter, method string }

var listKinds = []listKind{
	{"tools", "toolsListChanged", mcp.ToolsChanged},
	{"prompts", "promptsListChanged", mcp.PromptsChanged},
	{"resources", "resourcesListChanged", mcp.ResourcesChanged},
}
