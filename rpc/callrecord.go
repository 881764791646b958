package rpc

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Record is what happens to a call: when it was where, who was asked, how it ended.
// Traces, metrics, logs and the live view read it. Its methods may be called by many
// goroutines at once, also while the call runs, and on nil, where they note nothing. All
// times are since the call was received.
//
// The fields are no part of that: they belong to the goroutine that serves the call.
type Record struct {
	// Lifetime is what the server said of its answer's, where the answer was converted
	// and no longer says it; else nil.
	Lifetime *Lifetime
	// Stake is what is held for the call until its reply is closed; nil if nothing is.
	Stake Stake
	// Trace is the call's place in its trace. It is set before any policy sees the call
	// and does not change after; its zero value means that nobody traces.
	Trace Trace
	// ID names the call to its client and in the log; empty where it has no such name. It is set by the edge.
	ID string
	// Place is the call's place among those in flight.
	Place Place

	mu        sync.Mutex
	call      *Call // nil where nobody observes
	observers *[]Observer
	began     time.Time
	answered  time.Duration // when there was a response; 0 before
	ended     time.Duration // when the reply was closed, or refused; 0 before
	outcome   Outcome
	cached    bool

	notes    int16 // how many events there are
	attempts int32
	events   [2]Event
	first    Try
	seldom   *seldom // nil while there is nothing in it
}

// seldom is what few calls have. Records are made for each call and should be small.
type seldom struct {
	more    []Event // those for which a record has no room
	links   []TraceLink
	asides  []*Record
	tell    func(Attempt) // is told of attempts that end; nil for nobody
	waiting string        // the queue that the call waits in; empty for none
	waited  time.Duration // in queues, since the last attempt
	reason  string        // of the next attempt
}

// rest returns what few calls have, to be changed. The lock is held.
func (r *Record) rest() *seldom {
	if r.seldom == nil {
		r.seldom = &seldom{}
	}
	return r.seldom
}

// maxEvents bounds the events of one call.
const maxEvents = 64

// Event is something that happened to a call on its way.
type Event struct {
	Kind EventKind
	At   time.Duration // since the call was received
	Took time.Duration // how long it took until then; 0 if that is of no interest
	Name string        // what it was about, by the kind's rule; bounded
}

// EventKind says what happened.
type EventKind string

// The kinds of event, and what their name says.
const (
	Routed   EventKind = "routed"   // it is known who is asked; the upstream
	CacheHit EventKind = "cached"   // the answer was given before; fresh, stale or shared
	Queued   EventKind = "queued"   // it waited for a place; for which queue
	Shed     EventKind = "shed"     // it was given up without being tried; why
	Repeated EventKind = "repeated" // it is made again; why
	Parked   EventKind = "parked"   // it waits for the client to come back; the method of the first question, where that is known
	Resumed  EventKind = "resumed"  // it goes on with a call that waited; who kept that: parked, server or again
	Asked    EventKind = "asked"    // the client was asked something; the method
	Replied  EventKind = "replied"  // the client has answered
)

// Note notes an event. Took is how long it took; 0 where that is of no interest. The name
// must be short, and must not lie in the memory of a message.
func (r *Record) Note(kind EventKind, name string, took time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(Event{Kind: kind, At: r.now(), Took: took, Name: name})
	r.cached = r.cached || kind == CacheHit
}

func (r *Record) note(e Event) {
	switch {
	case r.notes >= maxEvents:
		return
	case int(r.notes) < len(r.events):
		r.events[r.notes] = e
	default:
		rest := r.rest()
		rest.more = append(rest.more, e)
	}
	r.notes++
}

// now is the time since the call was received. The lock is held.
func (r *Record) now() time.Duration {
	if r.began.IsZero() {
		r.began = time.Now()
	}
	return max(time.Since(r.began), 1) // 0 stands for never
}

// time is how long ago the call was received.
func (r *Record) time() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now()
}

// replied notes that the client answered a question then.
func (r *Record) replied(at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(Event{Kind: Replied, At: at})
}

// Waits notes that the call waits in a queue from now on, or no longer if that is empty.
func (r *Record) Waits(queue string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest().waiting = queue
}

// Waited notes that the call waited in a queue, which it was in until now. The wait is part of
// the attempt that follows.
func (r *Record) Waited(queue string, took time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.rest()
	rest.waited += took
	rest.waiting = ""
	r.note(Event{Kind: Queued, At: r.now(), Took: took, Name: queue})
}

// Again notes that the call is about to be made once more, and why: the reason of the attempt
// that follows.
func (r *Record) Again(reason string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest().reason = reason
	r.note(Event{Kind: Repeated, At: r.now(), Name: reason})
}

// Cached reports whether the answer was given before, so that nobody was asked.
func (r *Record) Cached() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cached
}

// Outcome returns how the call ended; the zero Outcome before that, and if it went well.
func (r *Record) Outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome
}

// Times returns when there was a response and when the call ended, which is when the
// response had been written or the call was refused. Both are 0 before that.
func (r *Record) Times() (answered, ended time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered, r.ended
}

// Events appends what has happened so far to dst, in the order in which it happened, and returns the longer slice.
func (r *Record) Events(dst []Event) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appendEvents(dst)
}

func (r *Record) appendEvents(dst []Event) []Event {
	begin := len(dst)
	dst = append(dst, r.events[:min(int(r.notes), len(r.events))]...)
	if r.seldom != nil {
		dst = append(dst, r.seldom.more...)
	}
	slices.SortStableFunc(dst[begin:], func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return dst
}

// Attempts returns how often an upstream was asked.
func (r *Record) Attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.attempts)
}

// Link notes that the call belongs together with another one, which is no part of it.
func (r *Record) Link(l TraceLink) {
	if r == nil || l.ID == (TraceID{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest := r.rest(); len(rest.links) < maxLinks {
		rest.links = append(rest.links, l)
	}
}

// maxLinks bounds the links of one call.
const maxLinks = 8

// Links returns what was noted by [Record.Link].
func (r *Record) Links() []TraceLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seldom == nil {
		return nil
	}
	return slices.Clip(r.seldom.links)
}
