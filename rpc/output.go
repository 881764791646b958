package rpc

import "time"

// Output is how the answer of a model came. It is only there where a model was asked.
type Output struct {
	Chunks int           // messages before the response
	Waited time.Duration // the sum of the times between the chunks
	last   time.Duration // when the last chunk came, on the meter's clock

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

// part notes a part of the answer.
func (o *Output) part(now time.Duration) {
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
