package mcpserver

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/headgate/headgate/rpc"
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
	wanted  map[interest]int // and how many want each
	version uint64           // rises with every change of wanted
	tried   outcome          // what the keeper last achieved
	news    chan struct{}    // closed when tried changes
	doubted bool             // a link may have ended without our being told
	gapped  bool             // what was said for a while was not heard
	later   []*resumption    // those who are to be told what became of a version
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
	refused map[interest]error // what is not watched
	err     error              // why none is
}

func newWatch(s *Server) *watch {
	return &watch{s: s, wake: make(chan struct{}, 1), wanted: map[interest]int{}, news: make(chan struct{})}
}

// Subscribe asks the upstream to tell of changes of resources, by their URIs there. It
// returns those that it agrees to, each of which is to be given up by Unsubscribe; the error
// says why there is none, and is a *rpc.WireError if the upstream's own words do. The
// notifications come to the function given to OnNotice.
func (s *Server) Subscribe(ctx context.Context, uris []string) ([]string, error) {
	return s.watch.agree(ctx, interestsIn(false, uris))
}

// Follow is Subscribe for tasks, by their ids there, each of which is to be given up by
// Unfollow.
func (s *Server) Follow(ctx context.Context, tasks []string) ([]string, error) {
	return s.watch.agree(ctx, interestsIn(true, tasks))
}

// Unfollow gives up what Follow agreed to.
func (s *Server) Unfollow(tasks []string) { s.watch.drop(interestsIn(true, tasks)) }

// agree asks the upstream for what is wanted, and returns the ids of what it agrees to.
func (w *watch) agree(ctx context.Context, wants []interest) ([]string, error) {
	version := w.add(wants)
	got, err := w.await(ctx, version)
	if err != nil {
		w.drop(wants)
		return nil, err
	}
	var agreed, refused []interest
	for _, want := range wants {
		if why := got.refused[want]; why != nil {
			refused, err = append(refused, want), why
			continue
		}
		agreed = append(agreed, want)
	}
	w.drop(refused)
	if len(agreed) > 0 {
		err = nil
	}
	return idsOf(agreed), err
}

// Resubscribe asks the upstream again, in the background and until it has answered, to tell
// of URIs that it agreed to before. Then told is called, once, with those that it refuses
// now; it must not block. All of the URIs are to be given up by Unsubscribe.
func (s *Server) Resubscribe(uris []string, told func(refused []string)) {
	s.watch.resume(&resumption{uris: uris, told: told})
}

// Unsubscribe gives up what Subscribe agreed to. The upstream is told in the
// background, when nobody else wants it.
func (s *Server) Unsubscribe(uris []string) { s.watch.drop(interestsIn(false, uris)) }

// add notes what somebody wants and returns the version to wait for.
func (w *watch) add(wants []interest) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.want(wants)
}

// resume is add for those who do not wait.
func (w *watch) resume(r *resumption) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.version = w.want(interestsIn(false, r.uris))
	w.later = append(w.later, r)
}

// want is add for who holds the lock.
func (w *watch) want(wants []interest) uint64 {
	for _, want := range wants {
		if w.wanted[want]++; w.wanted[want] == 1 {
			w.version++
		}
	}
	if w.tried.err != nil {
		w.version++ // that it failed then does not answer who asks now
	}
	w.start()
	return w.version
}

// drop notes what somebody does not want any more.
func (w *watch) drop(wants []interest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, want := range wants {
		if w.wanted[want]--; w.wanted[want] <= 0 {
			delete(w.wanted, want)
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

// gap notes that changes may have been told while nobody could hear.
func (w *watch) gap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gapped = true
	w.stir()
}

// takeGap reports whether there was a gap, and forgets it.
func (w *watch) takeGap() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	gapped := w.gapped
	w.gapped = false
	return gapped
}

// takeDoubt reports whether there is doubt, and forgets it.
func (w *watch) takeDoubt() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubted := w.doubted
	w.doubted = false
	return doubted
}

// all returns what is wanted, resources first and each kind sorted, and the version that is.
func (w *watch) all() ([]interest, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wants := slices.SortedFunc(maps.Keys(w.wanted), func(a, b interest) int {
		if a.task != b.task && a.task {
			return 1
		} else if a.task != b.task {
			return -1
		}
		return strings.Compare(a.id, b.id)
	})
	return wants, w.version
}

// settle tells those who wait what was achieved.
func (w *watch) settle(o outcome) {
	for _, r := range w.note(o) {
		r.told(slices.DeleteFunc(slices.Clone(r.uris), func(uri string) bool { return o.refused[interest{id: uri}] == nil }))
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
