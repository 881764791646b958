package rpc

import (
	"time"
)

// Hop says who is asked, and how.
type Hop struct {
	Upstream  string   // its name
	Backend   string   // which of its replicas, HOST:PORT; empty for a program
	Transport string   // http, sse, ws or stdio
	Revision  Revision // empty until there is a connection
}

// Attempt is one time that an upstream was asked. Times are since the call was received,
// and 0 for what has not happened.
type Attempt struct {
	Hop
	Number  int           // from 1
	Reason  string        // why the call was made again; empty for the first time
	Queued  time.Duration // how long it waited for a place before it began
	Span    SpanID        // zero where nobody traces
	Began   time.Duration
	First   time.Duration // when the first message came
	Ended   time.Duration // when the response was there, or there could be none any more
	Usage   Usage         // what it has used of a model so far
	Output  *Output       // how a model's answer came, when the attempt has ended; nil of anything else
	Outcome Outcome
}

// Try is an attempt that runs or ran. Its methods may be called by many goroutines at
// once, and on nil, where they note nothing. A try may last longer than its call: who comes
// back to a parked call goes on with it.
type Try struct {
	record  *Record
	next    *Try
	tell    func(Attempt) // is told of the end; nil for nobody
	meter   *Meter        // says what it uses of a model; nil if that is none, and at the end
	attempt Attempt
}

// Try notes that an upstream is asked. The caller must see to it that [Try.End] is
// called.
func (r *Record) Try(h Hop) *Try {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.first
	if r.attempts > 0 {
		t = &Try{}
		r.last().next = t
	}
	r.attempts++
	t.record = r
	t.attempt = Attempt{Hop: h, Number: int(r.attempts), Began: r.now()}
	if rest := r.seldom; rest != nil {
		t.attempt.Reason, t.attempt.Queued = rest.reason, rest.waited
		rest.reason, rest.waited = "", 0
	}
	if r.Trace.ID != (TraceID{}) {
		t.attempt.Span = NewSpanID()
	}
	return t
}

// First returns the first attempt of a call, nil if there was none.
func (r *Record) First() *Try {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts == 0 {
		return nil
	}
	return &r.first
}

// Asked returns the upstream that was asked last; empty if none was, or if that is not known.
func (r *Record) Asked() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts == 0 {
		return ""
	}
	return r.last().attempt.Upstream
}

// last returns the last attempt, of which there must be one. The lock is held.
func (r *Record) last() *Try {
	t := &r.first
	for t.next != nil {
		t = t.next
	}
	return t
}

// Next returns the attempt that followed, nil if none has.
func (t *Try) Next() *Try {
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	return t.next
}

// Attempt returns what is known of the attempt by now.
func (t *Try) Attempt() Attempt {
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	return t.sofar()
}

// sofar is the attempt by now. The lock is held.
func (t *Try) sofar() Attempt {
	a := t.attempt
	a.Usage = t.usage()
	return a
}

// OnEnd calls f when the attempt ends, by the goroutine that ends it. If it has ended
// already f is not called, and OnEnd returns false.
func (t *Try) OnEnd(f func(Attempt)) bool {
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	if t.attempt.Ended != 0 {
		return false
	}
	if before := t.tell; before != nil {
		t.tell = func(a Attempt) { before(a); f(a) }
	} else {
		t.tell = f
	}
	return true
}

// Speak notes the revision that is spoken with the upstream, once that is known.
func (t *Try) Speak(r Revision) {
	if t == nil {
		return
	}
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	t.attempt.Revision = r
}

// Saw notes a message that came for the client. With the response the attempt ends. Of the parts of an answer before it the first is enough.
func (t *Try) Saw(m *Message) {
	if t == nil {
		return
	}
	t.record.mu.Lock()
	response := m.IsResponse()
	if t.attempt.Ended != 0 || !response && t.attempt.First != 0 {
		t.record.mu.Unlock()
		return
	}
	now := t.record.now()
	if t.attempt.First == 0 {
		t.attempt.First = now
	}
	if !response {
		t.record.mu.Unlock()
		return
	}
	t.attempt.Outcome = outcomeOf(m)
	if t.meter != nil {
		finish, _ := m.Text("finish_reason")
		t.meter.ends(clipped(finish))
	}
	t.end(now)
}

// End notes that there will be no response any more, and why: io.EOF if none was due. After the
// response it does nothing.
func (t *Try) End(err error) {
	if t == nil {
		return
	}
	t.record.mu.Lock()
	if t.attempt.Ended != 0 {
		t.record.mu.Unlock()
		return
	}
	if !IsEnd(err) {
		t.attempt.Outcome.Err = err
	}
	t.end(t.record.now())
}

// Leave notes that nobody waits for the response any more.
func (t *Try) Leave() { t.End(errLeft) }

// end ends the attempt. It gives back the lock, which is held.
func (t *Try) end(now time.Duration) {
	t.attempt.Ended = now
	if t.meter != nil {
		t.attempt.Usage, t.attempt.Output = t.meter.all()
		t.meter = nil
	}
	attempt, tell := t.attempt, t.tell
	t.tell = nil
	var all func(Attempt)
	if t.record.seldom != nil {
		all = t.record.seldom.tell
	}
	t.record.mu.Unlock()
	if tell != nil {
		tell(attempt)
	}
	if all != nil {
		all(attempt)
	}
}

// TraceParentSize is the length of a traceparent that is sent (W3C Trace Context, §3.2).
const TraceParentSize = traceParentSize

// AppendTraceParent appends the traceparent by which the upstream is told of the attempt; nothing where nobody traces.
func (t *Try) AppendTraceParent(dst []byte) []byte {
	if t == nil || t.attempt.Span == (SpanID{}) { // it does not change
		return dst
	}
	return appendTraceParent(dst, t.record.Trace.ID, t.attempt.Span, t.record.Trace.Sampled)
}

// TraceState returns the tracestate to send beside it; empty for none.
func (t *Try) TraceState() string {
	if t == nil {
		return ""
	}
	return t.record.Trace.State
}
