package engine

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"
)

// minTick bounds how often a fast engine wakes up; it then makes several steps at once.
const minTick = 250 * time.Microsecond

// Engine is a simulated inference server. It may be used concurrently.
type Engine struct {
	config Config
	mux    *http.ServeMux
	seed   maphash.Seed

	mu        sync.Mutex
	scheduler *scheduler
	timer     *time.Timer
	models    map[string]*model
	entries   []*Entry
	faults    []*Fault
	finished  map[string]int64 // by reason
	die       func()           // makes the server disappear; nil: there is none
}

// model is what is known of a model that the engine serves.
type model struct {
	ready   time.Time   // it is loaded from then on; zero: it is not, nor does it load
	expires *time.Timer // unloads it; nil: nothing does
	busy    int         // sequences
	idle    time.Duration
}

// New returns an engine. Its models are cold if loading takes time.
func New(c Config) *Engine {
	c = c.withDefaults()
	e := &Engine{
		config: c, mux: http.NewServeMux(), seed: maphash.MakeSeed(),
		scheduler: &scheduler{config: c, memory: newMemory(c)},
		models:    map[string]*model{}, finished: map[string]int64{},
	}
	for _, name := range c.Models {
		e.models[name] = &model{idle: defaultKeepAlive}
	}
	e.routes()
	return e
}

// Stats is what an engine is doing, and has done.
type Stats struct {
	Running, Waiting    int     // sequences
	KVUsage             float64 // part of the key-value memory that sequences use
	PrefixQueries       int64   // tokens of prompts that were looked up in the prefix cache
	PrefixHits          int64   // and found
	Prompt, Sampled     int64   // tokens
	Preemptions         int64
	Requests, Unsettled int // that were begun; whose tokens may still become more
}

// Stats tells how things are now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scheduler.advance(time.Now())
	s, m := e.scheduler, e.scheduler.memory
	unsettled := 0
	for _, entry := range e.entries {
		if entry.open() {
			unsettled++
		}
	}
	return Stats{
		Running: len(s.running), Waiting: len(s.waiting), KVUsage: float64(m.used) / float64(m.size),
		PrefixQueries: m.queried, PrefixHits: m.hit, Prompt: s.filled, Sampled: s.sampled, Preemptions: s.preemptions,
		Requests: len(e.entries), Unsettled: unsettled,
	}
}

// Unload makes a model cold. A sequence that is computed goes on.
func (e *Engine) Unload(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if m := e.models[name]; m != nil {
		m.ready = time.Time{}
	}
}

// start lines the sequences of a request up. The entry is in the ledger even where it was refused.
func (e *Engine) start(r *Request, f *Fault) (*Entry, *refusal) {
	r.prompt = r.tokens(e.config.BytesPerToken)
	want, why := e.length(r)
	pieces := r.stopped(e.config.Token, want)
	if pieces != nil {
		want, why = len(pieces), "stop"
	}
	entry := &Entry{Request: r, engine: e, wake: make(chan struct{}, 1), want: want, pieces: pieces, reason: why, arrived: time.Now()}
	if refused := e.fits(r, want); refused != nil {
		return entry, e.refuse(entry, refused)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.schedule()
	ready := e.load(r.served, entry.arrived)
	entry.loading = max(0, ready.Sub(entry.arrived))
	for range r.Choices {
		q := &sequence{prompt: r.prompt, want: want, hold: -1, ready: ready, wake: entry.wake}
		if f != nil && f.Kind == Stall {
			q.hold = f.After
		}
		if e.config.PrefixCache {
			q.keys = e.scheduler.memory.keys(e.seed, r.prompt)
		}
		if !e.scheduler.add(entry.arrived, q) {
			for _, q := range entry.sequences {
				e.scheduler.abort(entry.arrived, q)
			}
			entry.sequences = nil
			e.release(r.served, nil)
			entry.refused = http.StatusServiceUnavailable
			e.entries = append(e.entries, entry)
			return entry, &refusal{status: http.StatusServiceUnavailable, message: "server busy, please try again. maximum pending requests exceeded"}
		}
		entry.sequences = append(entry.sequences, q)
	}
	e.entries = append(e.entries, entry)
	return entry, nil
}

func (e *Engine) refuse(entry *Entry, r *refusal) *refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry.refused = r.status
	e.entries = append(e.entries, entry)
	return r
}

// length is how many tokens the answer will have, and why no more.
func (e *Engine) length(r *Request) (want int, why string) {
	want, why = e.config.Length(r), "stop"
	room := e.config.Context - len(r.prompt)
	limit := room
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	if want > limit || r.IgnoreEOS {
		want, why = limit, "length"
	}
	return max(1, want), why
}

// fits refuses what the context could never hold.
func (e *Engine) fits(r *Request, want int) *refusal {
	prompt, asked := len(r.prompt), max(r.MaxTokens, 1)
	if prompt+asked <= e.config.Context {
		return nil
	}
	return &refusal{
		status: http.StatusBadRequest,
		message: fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion).",
			e.config.Context, prompt+max(asked, want), prompt, max(asked, want)),
	}
}

// schedule sets the timer to the next step. The caller has locked.
func (e *Engine) schedule() {
	next, ok := e.scheduler.next()
	if !ok {
		return
	}
	wait := max(time.Until(next), minTick)
	if e.timer == nil {
		e.timer = time.AfterFunc(wait, e.tick)
		return
	}
	e.timer.Reset(wait)
}

func (e *Engine) tick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scheduler.advance(time.Now())
	e.schedule()
}

// follow calls saw with the tokens that each sequence has, whenever that has changed, until all are complete, saw returns false, or the client
// has left, which ends the sequences.
func (e *Engine) follow(ctx context.Context, entry *Entry, saw func(produced []int, over bool) bool) {
	produced := make([]int, len(entry.sequences))
	for {
		over := true
		e.mu.Lock()
		e.scheduler.advance(time.Now())
		for i, q := range entry.sequences {
			produced[i] = q.produced
			over = over && q.over
		}
		e.schedule()
		e.mu.Unlock()
		if !saw(produced, over) {
			e.abort(entry, 0)
			return
		}
		if over {
			e.settle(entry)
			return
		}
		select {
		case <-entry.wake:
		case <-ctx.Done():
			e.abort(entry, e.config.AbortDelay)
			return
		}
	}
}

// abort ends what is left of a request, after a while.
func (e *Engine) abort(entry *Entry, after time.Duration) {
	if after > 0 {
		time.AfterFunc(after, func() { e.abort(entry, 0) })
		return
	}
	e.mu.Lock()
	now := time.Now()
	for _, q := range entry.sequences {
		if !q.over {
			entry.aborted = true
			e.scheduler.abort(now, q)
		}
	}
	e.schedule()
	e.mu.Unlock()
	e.settle(entry)
}

// settle is called when all sequences of a request are over.
func (e *Engine) settle(entry *Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if entry.settled {
		return
	}
	entry.settled = true
	reason := entry.reason
	if entry.aborted {
		reason = "abort"
	}
	e.finished[reason] += int64(len(entry.sequences))
	e.release(entry.Request.served, entry.Request.KeepAlive)
}

// Ledger tells of every request so far, in the order of their arrival.
func (e *Engine) Ledger() []Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scheduler.advance(time.Now())
	records := make([]Record, 0, len(e.entries))
	for _, entry := range e.entries {
		records = append(records, entry.record())
	}
	return records
}

// Forget empties the ledger, but for what is not settled.
func (e *Engine) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.entries = slices.DeleteFunc(e.entries, func(entry *Entry) bool { return !entry.open() })
}
