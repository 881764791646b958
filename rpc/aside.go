package rpc

import "slices"

// maxAsides bounds the calls beside one that are known to it.
const maxAsides = 8

// Aside returns the record of a call that is made because of this one and that its client does not wait for, such as a
// copy for another upstream. What happens to it is noted there alone; the reason is that of its first attempt.
func (r *Record) Aside(reason string) *Record {
	out := &Record{seldom: &seldom{reason: reason}}
	if r == nil {
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out.Trace, out.began = r.Trace, r.began
	if rest := r.rest(); len(rest.asides) < maxAsides {
		rest.asides = append(rest.asides, out)
	}
	return out
}

// Asides returns the records of the calls beside this one. They may be made, and end, after it has.
func (r *Record) Asides() []*Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seldom == nil {
		return nil
	}
	return slices.Clip(r.seldom.asides)
}

// OnAttempts calls f with each attempt that has ended, and from now on with each that ends, by the goroutine that
// ends it. It is called once.
func (r *Record) OnAttempts(f func(Attempt)) {
	r.mu.Lock()
	r.rest().tell = f
	var ended []Attempt
	if r.attempts > 0 {
		for t := &r.first; t != nil; t = t.next {
			if t.attempt.Ended != 0 {
				ended = append(ended, t.attempt)
			}
		}
	}
	r.mu.Unlock()
	for _, a := range ended {
		f(a)
	}
}

// Child returns the record of a call that is made in the middle of this one and that it waits for, which is a call of its own in the same
// trace: the observers of calls are told of it as of any other.
func (r *Record) Child() *Record {
	out := &Record{}
	if r != nil && r.Trace.ID != (TraceID{}) {
		out.Trace = Trace{ID: r.Trace.ID, Span: NewSpanID(), Parent: r.Trace.Span, Sampled: r.Trace.Sampled, State: r.Trace.State, Inner: true}
	}
	return out
}
