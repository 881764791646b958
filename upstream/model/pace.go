package model

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// pace is how fast a backend was of late: tokens in a second of a call. The zero value is ready.
type pace struct {
	mu            sync.Mutex
	tokens, spent float64 // of the last calls, the newer the more

	speed atomic.Uint64 // the bits of a float64; 0 where nothing was measured
	until atomic.Int64  // for how long that is believed, by the pool's clock
}

// A pace is forgotten after a while without calls, so that a backend that was slow gets some again.
const (
	paceLasts = 30 * time.Second
	paceFades = 0.9 // what is left of earlier calls with each new one
)

// learn notes a call that was answered.
func (p *pace) learn(tokens int64, took, now time.Duration) {
	if tokens <= 0 || took <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if int64(now) > p.until.Load() {
		p.tokens, p.spent = 0, 0
	}
	p.tokens = p.tokens*paceFades + float64(tokens)
	p.spent = p.spent*paceFades + took.Seconds()
	p.speed.Store(math.Float64bits(p.tokens / p.spent))
	p.until.Store(int64(now + paceLasts + 2*took))
}

// known returns the speed; false where nothing is known, or not any more.
func (p *pace) known(now time.Duration) (tokensPerSecond float64, ok bool) {
	bits := p.speed.Load()
	return math.Float64frombits(bits), bits != 0 && int64(now) <= p.until.Load()
}
