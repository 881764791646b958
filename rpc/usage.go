package rpc

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

// Uses notes what the attempt has used by now, all in all. Whoever reads a model's answer calls it before
// the part of the answer goes on that the usage is of, with an estimate as long as nobody knows better, and once
// more at the end, however that came about.
func (t *Try) Uses(u Usage) {
	if t == nil {
		return
	}
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	t.attempt.Usage = u
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
		sum = sum.Plus(t.attempt.Usage)
	}
	return sum
}
