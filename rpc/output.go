package rpc

import "time"

// Output is how the answer of a model came. It is only there where a model was asked.
type Output struct {
	Chunks int           // messages before the response
	Waited time.Duration // the sum of the times between the chunks
	last   time.Duration // when the last chunk came

	Gaps   [gaps + 1]int64 // these times, by [GapLimits]; the last ones are longer than all of them
	Finish string          // why the model stopped, as its server calls it; bounded
}

// gaps is how many sizes of gaps are told apart.
const gaps = 14

// GapLimits returns the longest time that each place of [Output] Gaps but the last one counts: 10 ms, and each twice the one before.
func GapLimits() (out [gaps]time.Duration) {
	for i := range out {
		out[i] = 10 * time.Millisecond << i
	}
	return out
}

// speaks notes a message of a model's answer, which is what has used something. The lock is held.
func (t *Try) speaks(m *Message, response bool, now time.Duration) {
	o := t.attempt.Output
	if o == nil {
		o = &Output{}
		t.attempt.Output = o
	}
	if response {
		finish, _ := m.Text("finish_reason")
		o.Finish = clipped(finish)
		return
	}
	if o.Chunks++; o.Chunks > 1 {
		took := now - o.last
		i := 0
		for i < gaps && took > 10*time.Millisecond<<i {
			i++
		}
		o.Gaps[i]++
		o.Waited += took
	}
	o.last = now
}
