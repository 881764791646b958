package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// interval is how often those who watch are told what has changed.
	interval = time.Second
	// quiet is how many intervals may pass without a word.
	quiet = 15
	// maxWatchers may watch at a time.
	maxWatchers = 16
	// lag is how many views a watcher may be behind before it is sent away.
	lag = 4
	// watched is how much of each list those who watch are shown.
	watched = 200
	// patience is how long a watcher may take nothing.
	patience = 10 * time.Second
)

// section is a part of the state that watchers are shown, under the name that the API
// has for it.
type section struct {
	name string
	read func(ctx context.Context) (any, error)
}

func sections(g Gateway) []section {
	const s = watched
	top := span{limit: s}
	return []section{
		{"overview", func(context.Context) (any, error) { return g.Overview(), nil }},
		{"upstreams", func(context.Context) (any, error) { return part(g.Upstreams(), top), nil }},
		{"models", func(context.Context) (any, error) { return part(g.Models(), top), nil }},
		{"calls", func(context.Context) (any, error) { return part(g.Calls(), top), nil }},
		{"streams", func(context.Context) (any, error) { return part(g.Streams(), top), nil }},
		{"connections", func(context.Context) (any, error) { return part(g.Connections(), top), nil }},
		{"sessions", func(context.Context) (any, error) { return part(g.Sessions(), top), nil }},
		{"limits", func(ctx context.Context) (any, error) {
			limits, err := g.Limits(ctx)
			return part(limits, top), err
		}},
		{"recent", func(context.Context) (any, error) { return part(g.Recent(), top), nil }},
	}
}

// view is the state at one moment, section by section.
type view map[string]json.RawMessage

// changed returns the sections that differ from those of another view.
func (v view) changed(since view) view {
	out := view{}
	for name, text := range v {
		if !bytes.Equal(text, since[name]) {
			out[name] = text
		}
	}
	return out
}

// hub looks at the gateway once a second for all who watch, and not at all while nobody
// does.
type hub struct {
	life     context.Context //nolint:containedctx // of looking, which is for all who watch and for none of them alone
	log      *slog.Logger
	sections []section

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	stop     context.CancelFunc // of the goroutine that looks; nil while there is none
	closed   bool
	looking  sync.WaitGroup
}

// watcher is who watches.
type watcher struct{ views chan view }

var errWatchers = errors.New("too many watch already")

// join adds a watcher, who must leave.
func (h *hub) join() (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, errors.New("the gateway is shutting down")
	case len(h.watchers) >= maxWatchers:
		return nil, errWatchers
	}
	w := &watcher{views: make(chan view, lag)}
	h.watchers[w] = struct{}{}
	if h.stop == nil {
		ctx, cancel := context.WithCancel(h.life)
		h.stop = cancel
		h.looking.Go(func() { h.look(ctx) })
	}
	return w, nil
}

// leave removes a watcher, who may have been removed before.
func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	if len(h.watchers) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// close ends all streams, and lets nobody watch any more.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for w := range h.watchers {
		close(w.views)
		delete(h.watchers, w)
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	h.mu.Unlock()
	h.looking.Wait()
}

// look tells the watchers what there is to see, again and again.
func (h *hub) look(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		h.tell(h.read(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// read looks at the gateway. A section that cannot be read is left out.
func (h *hub) read(ctx context.Context) view {
	v := view{}
	for _, s := range h.sections {
		value, err := s.read(ctx)
		if err == nil {
			v[s.name], err = json.Marshal(value)
		}
		if err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "what operators watch cannot be read", "section", s.name, "error", err)
			delete(v, s.name)
		}
	}
	return v
}

// tell hands a view to all who watch. Who has not taken the last few is sent away.
func (h *hub) tell(v view) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		select {
		case w.views <- v:
		default:
			close(w.views)
			delete(h.watchers, w)
		}
	}
}

// events serves GET /api/v1/events: an event stream with a snapshot, then once a second the
// sections that have changed.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	watcher, err := s.hub.join()
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer s.hub.leave(watcher)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	stream := &eventStream{out: w, control: http.NewResponseController(w)}
	for {
		select {
		case v, ok := <-watcher.views:
			if !ok || !stream.show(v) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// eventStream is what one watcher gets.
type eventStream struct {
	out     http.ResponseWriter
	control *http.ResponseController
	shown   view
	silent  int // intervals
}

// show writes what has changed, and reports whether the watcher is still there.
func (e *eventStream) show(v view) bool {
	kind, news := "snapshot", v
	if e.shown != nil {
		kind, news = "delta", v.changed(e.shown)
	}
	e.shown = v
	var text []byte
	switch {
	case len(news) > 0:
		data, err := json.Marshal(news)
		if err != nil {
			return false
		}
		text, e.silent = append(append(append([]byte("event: "+kind+"\ndata: "), data...), '\n'), '\n'), 0
	case e.silent < quiet:
		e.silent++
		return true
	default:
		text, e.silent = []byte(": hb\n\n"), 0
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(patience)) // net/http's connections have deadlines
	if _, err := e.out.Write(text); err != nil {
		return false
	}
	return e.control.Flush() == nil
}
