package rpc

import (
	"sync"
	"time"
)

// Usage is what was used of a model, in tokens.
type Usage struct {
	Input     int64 // of the prompt, cached ones among them
	Output    int64 // that were produced
	Cached    int64 // of the prompt, that the model had worked on before
	Estimated bool  // at least one of the numbers is a guess
}

// Plus returns the sum of two usages.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Input + v.Input, u.Output + v.Output, u.Cached + v.Cached, u.Estimated || v.Estimated}
}

// Meter says what an attempt uses of a model, and how the answer comes. It lies with whoever reads that, beside what each part of it
// needs. The zero Meter is ready for use, once [Try.Metered] was told of it.
type Meter struct {
	mu     sync.Mutex
	used   Usage
	began  time.Time
	output Output
}

// Uses notes what the attempt has used by now, all in all. Whoever reads a model's answer calls it, or Part, before the part of the answer
// goes on that the usage is of, with an estimate as long as nobody knows better, and once more at the end, however that came about.
func (m *Meter) Uses(u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = u
}

// Part notes that a part of the answer has come, and what the attempt has used by now.
func (m *Meter) Part(u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = u
	m.output.part(time.Since(m.began))
}

// usage returns what was used by now.
func (m *Meter) usage() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// lastPart returns when the last part came; the zero time if none has.
func (m *Meter) lastPart() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.output.Chunks == 0 {
		return time.Time{}
	}
	return m.began.Add(m.output.last)
}

// ends notes why the model stopped.
func (m *Meter) ends(finish string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.output.Finish = finish
}

// all returns all that it says.
func (m *Meter) all() (Usage, *Output) {
	m.mu.Lock()
	defer m.mu.Unlock()
	output := m.output
	return m.used, &output
}

// Metered has a meter say what the attempt uses, until it ends.
func (t *Try) Metered(m *Meter) {
	if t == nil {
		return
	}
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	m.began = time.Now()
	t.meter = m
}

// Usage returns what all attempts together have used by now.
func (r *Record) Usage() Usage {
	if r == nil {
		return Usage{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum Usage
	if r.attempts == 0 {
		return sum
	}
	for t := &r.first; t != nil; t = t.next {
		sum = sum.Plus(t.usage())
	}
	return sum
}

// LastPart returns when the last part of a model's answer came, if it is still coming; else the zero time.
func (r *Record) LastPart() time.Time {
	if r == nil {
		return time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts == 0 || r.last().meter == nil {
		return time.Time{}
	}
	return r.last().meter.lastPart()
}

// usage returns what the attempt has used by now. The lock is held.
func (t *Try) usage() Usage {
	if t.meter != nil {
		return t.meter.usage()
	}
	return t.attempt.Usage
}
