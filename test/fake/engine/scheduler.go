package engine

import (
	"math"
	"slices"
	"time"
)

// sequence is one answer that is made, or waits to be.
type sequence struct {
	prompt []uint32
	keys   []uint64 // of the full blocks of the prompt
	want   int      // tokens of the whole answer
	hold   int      // it stops here and keeps its slot; negative: nowhere
	ready  time.Time
	wake   chan struct{} // one place: something has changed

	shared  []*block
	private int // blocks of its own
	cached  int // tokens of the prompt that were found
	toFill  int // tokens that are still to be computed before the next one can be sampled

	produced int
	placed   bool // it has a slot
	over     bool // it is complete, or was aborted

	admitted, first, ended time.Time
}

// step is what is computed at once: a token for each sequence that is decoded, and chunks of prompts.
type step struct {
	ends   time.Time
	decode []*sequence
	fill   []filling
}

type filling struct {
	sequence *sequence
	tokens   int
}

// scheduler is the model of continuous batching. It knows no clock: it is told the time. Its callers lock.
type scheduler struct {
	config  Config
	memory  *memory
	waiting []*sequence
	running []*sequence // in the order in which they were admitted
	clock   time.Time   // when the last step ended
	step    *step       // under way

	sampled     int64 // tokens, in all
	filled      int64 // tokens of prompts, computed or found
	preemptions int64
}

// add lines a sequence up and reports whether there was room.
func (s *scheduler) add(now time.Time, q *sequence) bool {
	s.advance(now)
	// Who comes while a step is computed waits for its end, even where slots are free.
	if free := s.config.Slots - len(s.running); s.config.Queue >= 0 && len(s.waiting) >= s.config.Queue+free {
		return false
	}
	s.waiting = append(s.waiting, q)
	s.advance(now)
	return true
}

// abort ends a sequence.
func (s *scheduler) abort(now time.Time, q *sequence) {
	s.advance(now)
	s.end(now, q)
	s.advance(now)
}

// next tells when there will be something to do.
func (s *scheduler) next() (time.Time, bool) {
	if s.step != nil {
		return s.step.ends, true
	}
	var first time.Time
	for _, q := range s.waiting {
		if q.ready.After(s.clock) && (first.IsZero() || q.ready.Before(first)) {
			first = q.ready
		}
	}
	return first, !first.IsZero()
}

// advance makes every step that has ended by now.
func (s *scheduler) advance(now time.Time) {
	for {
		if s.step == nil && !s.begin(now) {
			return
		}
		if s.step.ends.After(now) {
			return
		}
		s.finish()
	}
}

// begin composes the next step and reports whether there is one.
func (s *scheduler) begin(now time.Time) bool {
	s.admit()
	if len(s.running) == 0 {
		// Nothing was under way, so the time until something could be is nobody's.
		next, ok := s.next()
		switch {
		case ok && !next.After(now):
			s.clock = next
		case s.clock.Before(now):
			s.clock = now
		}
		s.admit()
	}
	made := s.compose()
	if made == nil {
		if s.clock.Before(now) {
			s.clock = now
		}
		return false
	}
	made.ends = s.clock.Add(s.cost(made))
	s.step = made
	return true
}

// admit moves sequences from the queue to slots, in order.
func (s *scheduler) admit() {
	for i := 0; i < len(s.waiting) && len(s.running) < s.config.Slots; {
		q := s.waiting[i]
		if q.ready.After(s.clock) {
			i++ // its model loads: others need not wait for that
			continue
		}
		if !s.memory.admit(q, len(q.prompt)+q.produced) {
			return
		}
		q.toFill = len(q.prompt) + q.produced - q.cached
		if q.admitted.IsZero() {
			q.admitted = s.clock
			s.filled += int64(len(q.prompt))
		}
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.running = append(s.running, q)
		q.placed = true
	}
}

// compose chooses what is computed next. Who finds no memory for a token displaces who came last.
func (s *scheduler) compose() *step {
	made := &step{}
	budget := s.config.Chunk
	for i := 0; i < len(s.running); i++ { //nolint:intrange // it gets shorter
		q := s.running[i]
		switch {
		case q.toFill > 0:
			if n := min(q.toFill, budget); n > 0 {
				budget -= n
				made.fill = append(made.fill, filling{q, n})
			}
		case q.produced == q.hold:
		case s.room(q):
			made.decode = append(made.decode, q)
		}
	}
	if len(made.decode) == 0 && len(made.fill) == 0 {
		return nil
	}
	return made
}

// room finds memory for one more token of a sequence, if need be by preempting those that were admitted after it, or itself. Alone it always finds
// some: no sequence is longer than the memory.
func (s *scheduler) room(q *sequence) bool {
	for !s.memory.grow(q) {
		last := s.running[len(s.running)-1]
		s.preempt(last)
		if last == q {
			return false
		}
	}
	return true
}

func (s *scheduler) preempt(q *sequence) {
	s.preemptions++
	s.memory.release(q)
	q.placed = false
	s.running = s.running[:len(s.running)-1]
	s.waiting = slices.Insert(s.waiting, 0, q)
}

// cost is how long a step takes.
func (s *scheduler) cost(made *step) time.Duration {
	var seconds float64
	if n := len(made.decode); n > 0 {
		if s.config.TokenRate > 0 {
			seconds = 1 / s.config.TokenRate
		}
		if s.config.TotalRate > 0 {
			seconds = max(seconds, float64(n)/s.config.TotalRate)
		}
	}
	tokens := 0
	for _, f := range made.fill {
		tokens += f.tokens
	}
	return time.Duration(math.Round(seconds*1e9)) + time.Duration(tokens)*s.config.Prefill
}

// finish ends the step under way: who was decoded has a token more, and so has whose prompt is complete now.
func (s *scheduler) finish() {
	made := s.step
	s.step, s.clock = nil, made.ends
	for _, q := range made.decode {
		s.sample(q)
	}
	for _, f := range made.fill {
		if !f.sequence.placed {
			continue // aborted meanwhile, or displaced by one before it
		}
		if f.sequence.toFill -= f.tokens; f.sequence.toFill == 0 && s.room(f.sequence) {
			s.sample(f.sequence)
		}
	}
}

func (s *scheduler) sample(q *sequence) {
	if !q.placed || q.produced == q.hold {
		return
	}
	if q.produced++; q.first.IsZero() {
		q.first = s.clock
	}
	s.sampled++
	if q.produced >= q.want {
		s.end(s.clock, q)
		return
	}
	q.notify()
}

// end takes a sequence out, wherever it is.
func (s *scheduler) end(now time.Time, q *sequence) {
	if q.over {
		return
	}
	q.over, q.placed, q.ended = true, false, now
	if i := slices.Index(s.running, q); i >= 0 {
		s.memory.release(q)
		s.running = slices.Delete(s.running, i, i+1)
	}
	if i := slices.Index(s.waiting, q); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	q.notify()
}

func (q *sequence) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
