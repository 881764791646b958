package model

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// A backend that is new, was away, or unloads models that nobody uses, may need minutes to load the model. It is asked for one token, and gets
// calls when it has answered. That it takes its time to load counts as no failure.

// condition is whether a backend has its model loaded.
type condition int32

const (
	cold    condition = iota // it is not known to have
	loading                  // it was asked for a token
	loaded                   // it has answered
)

// Pauses between two tries to have a model loaded.
const (
	firstRest = time.Second
	lastRest  = 30 * time.Second
)

// loadedByDefault is how long a server of kind ollama keeps a model that nobody uses, where nothing else is configured.
const loadedByDefault = 5 * time.Minute

// warmth is what is known of whether a backend has its model loaded. The zero value is that of a cold one.
type warmth struct {
	is   atomic.Int32 // a condition
	last atomic.Int64 // when it last showed it, by the pool's clock

	mu    sync.Mutex
	err   error         // why the last try failed; nil if none has
	rest  time.Duration // after the next one that fails
	again time.Duration // when it is tried again, by the pool's clock

	names sync.Map // of models of a glob → time.Duration, when they last showed to be loaded
	many  atomic.Int32
}

// warms reports whether backends are warmed up before they get calls.
func (p *Pool) warms() bool { return p.cfg.WarmUp.At != "never" && !p.cfg.Glob() }

// state returns whether a member can be sent calls.
func (m *replica) state(now time.Duration) condition {
	if !m.pool.warms() {
		return loaded
	}
	is := condition(m.warmth.is.Load())
	if is == loaded && m.idle(now) {
		m.warmth.is.CompareAndSwap(int32(loaded), int32(cold))
		return condition(m.warmth.is.Load())
	}
	return is
}

// keeps returns how long the server keeps a model loaded that nobody uses; 0 is for ever.
func (m *replica) keeps() time.Duration {
	if m.cfg.Kind != "ollama" {
		return 0
	}
	return cmp.Or(m.cfg.KeepAlive, loadedByDefault)
}

// idle reports whether the server has unloaded the model, because nobody used it.
func (m *replica) idle(now time.Duration) bool {
	keeps := m.keeps()
	return keeps > 0 && m.flying.Load() == 0 && now-time.Duration(m.warmth.last.Load()) >= keeps
}

// answered notes that the member has shown that it has a model loaded.
func (m *replica) answered(l *load) {
	now := m.pool.now()
	m.warmth.last.Store(int64(now))
	if m.pool.cfg.Glob() {
		m.warmth.remember(l.name, now)
	}
}

// maxNames bounds the models of a glob that are remembered to be loaded.
const maxNames = 256

func (w *warmth) remember(name string, now time.Duration) {
	if _, known := w.names.Swap(name, now); known {
		return
	}
	if w.many.Add(1) > maxNames {
		w.names.Clear()
		w.many.Store(0)
	}
}

// unsure reports whether the member may have to load the model for a call.
func (m *replica) unsure(l *load) bool {
	if !m.pool.cfg.Glob() || m.pool.cfg.WarmUp.At == "never" {
		return false
	}
	last, known := m.warmth.names.Load(l.name)
	keeps := m.keeps()
	return !known || keeps > 0 && m.pool.now()-last.(time.Duration) >= keeps
}

// lost notes that it is not known any more whether the member has the model loaded: it was away, or gave no token in time.
func (m *replica) lost(l *load) {
	m.warmth.names.Delete(l.name)
	if !m.pool.warms() || !m.warmth.is.CompareAndSwap(int32(loaded), int32(cold)) {
		return
	}
	m.warmth.mu.Lock()
	defer m.warmth.mu.Unlock()
	m.warmth.err, m.warmth.rest, m.warmth.again = nil, 0, 0
}

// failure returns why the member could not load the model when it last tried.
func (m *replica) failure() error {
	m.warmth.mu.Lock()
	defer m.warmth.mu.Unlock()
	if m.warmth.err == nil {
		return nil
	}
	e := *rpc.AsError(m.warmth.err)
	if e.Code == rpc.Internal {
		e = rpc.Error{Code: rpc.UpstreamDown, Message: "the backend of model " + rpc.Excerpt(m.pool.cfg.Name) + " could not be made ready", Cause: m.warmth.err}
	}
	e.Upstream, e.NotRun = m.pool.cfg.Name, true
	e.RetryAfter = max(time.Second, m.warmth.again-m.pool.now())
	return &e
}

// kick has a cold member load the model, unless it tried to just now. It reports whether it loads.
func (m *replica) kick(now time.Duration) bool {
	w := &m.warmth
	w.mu.Lock()
	defer w.mu.Unlock()
	if !m.pool.warms() || m.life.Err() != nil || now < w.again || !w.is.CompareAndSwap(int32(cold), int32(loading)) {
		return condition(w.is.Load()) == loading
	}
	m.pool.work.Go(m.load)
	return true
}

// load has the server make a token.
func (m *replica) load() {
	began := time.Now()
	err := m.token()
	w := &m.warmth
	w.mu.Lock()
	if err == nil {
		w.last.Store(int64(m.pool.now()))
		w.err, w.rest, w.again = nil, 0, 0
		w.is.Store(int32(loaded))
	} else {
		w.rest = min(max(firstRest, 2*w.rest), lastRest)
		w.err, w.again = err, m.pool.now()+w.rest
		w.is.Store(int32(cold))
	}
	w.mu.Unlock()
	switch {
	case err == nil:
		m.Rise()
		m.pool.deps.Log.Info("backend is ready", "model", m.pool.cfg.Name, "backend", m.ID(), "after", time.Since(began).String())
	case m.life.Err() == nil:
		m.pool.deps.Log.Warn("backend is not ready", "model", m.pool.cfg.Name, "backend", m.ID(), "error", err.Error())
	}
	m.pool.moved.send()
}

// token asks for one token, in the time that loading may take.
func (m *replica) token() error {
	ctx, cancel := context.WithTimeout(m.life, m.pool.cfg.WarmUp.Timeout)
	defer cancel()
	err := m.server.Warm(ctx, cmp.Or(m.cfg.Model, m.pool.cfg.Name))
	if err != nil && ctx.Err() != nil && m.life.Err() == nil {
		return &rpc.Error{
			Code: rpc.UpstreamDown, Cause: err,
			Message: "the backend of model " + rpc.Excerpt(m.pool.cfg.Name) + " did not load it within " + m.pool.cfg.WarmUp.Timeout.String(),
		}
	}
	return err
}

// keepWarm asks the member for a token now and then while nobody calls it, if that is configured.
func (m *replica) keepWarm() {
	every := m.pool.cfg.WarmUp.Every
	if every <= 0 {
		return
	}
	m.pool.work.Go(func() {
		for asked := time.Duration(0); ; asked = m.refresh(every) {
			next := time.NewTimer(max(asked, time.Duration(m.warmth.last.Load())) + every - m.pool.now())
			select {
			case <-m.life.Done():
				next.Stop()
				return
			case <-next.C:
			}
		}
	})
}

// refresh asks the member for a token unless somebody has used it meanwhile. It returns when it last did.
func (m *replica) refresh(every time.Duration) (asked time.Duration) {
	now := m.pool.now()
	switch {
	case m.flying.Load() > 0, now-time.Duration(m.warmth.last.Load()) < every:
		return 0
	case m.state(now) != loaded:
		m.kick(now)
		return now
	}
	if err := m.token(); err == nil {
		m.warmth.last.Store(int64(m.pool.now()))
	} else if m.life.Err() == nil {
		m.pool.deps.Log.Warn("backend is not kept ready", "model", m.pool.cfg.Name, "backend", m.ID(), "error", err.Error())
		m.lost(&load{name: m.pool.cfg.Name})
	}
	return m.pool.now()
}
