package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig says when a backend that keeps failing is left alone.
type BreakerConfig struct {
	Failures int           // in a row; 0 is no breaker
	OpenFor  time.Duration // before one call is let through to try it; one second if it is 0
}

var (
	// errRefused says that the breaker lets no call through.
	errRefused = errors.New("left alone")
	// errFailed and errNeither are outcomes as the breaker is told of them.
	errFailed  = errors.New("failed")
	errNeither = errors.New("neither failed nor succeeded")
)

// breaker lets calls through to a backend as long as it does not keep failing. The state machine is gobreaker's, which asks for a lock
// and an allocation twice a call. As long as the breaker is closed and the last call did not fail, a success changes nothing in it, so
// that such calls pass it by: they read one number before and one after.
type breaker struct {
	until atomic.Int64 // when it stops being open, by the pool's clock; 0 while it is closed
	// mark is the number of times that the state has changed, doubled, and one more while calls have to be counted.
	mark atomic.Uint64

	mu  sync.Mutex // held in all uses of two
	two *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newBreaker(cfg BreakerConfig, now func() int64, changed func(to gobreaker.State)) *breaker {
	b := &breaker{}
	if cfg.Failures <= 0 {
		return b
	}
	if cfg.OpenFor <= 0 {
		cfg.OpenFor = time.Second
	}
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     cfg.OpenFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return int(counts.ConsecutiveFailures) >= cfg.Failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNeither) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			until := int64(0)
			if to == gobreaker.StateOpen {
				until = now() + int64(cfg.OpenFor)
			}
			b.mark.Store((b.mark.Load()>>1+1)<<1 + 1)
			b.until.Store(until)
			changed(to)
		},
	})
	return b
}

// pass is leave to make a call, whose outcome is then told by settle.
type pass struct {
	mark uint64
	done func(error) // of a call that is counted; nil for one that is not
}

// enter asks for leave to make a call; false while the backend is left alone.
func (b *breaker) enter() (pass, bool) {
	mark := b.mark.Load()
	if b.two == nil || mark&1 == 0 && b.until.Load() == 0 {
		return pass{mark: mark}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	done, err := b.two.Allow()
	b.note()
	return pass{done: done}, err == nil
}

// settle tells the outcome of a call: nil for a success, else errFailed or errNeither.
func (b *breaker) settle(t pass, outcome error) {
	mark := b.mark.Load()
	if b.two == nil || t.done == nil && (outcome == nil && mark&1 == 0 || mark>>1 != t.mark>>1) {
		return // it changes nothing, or it is older than the state
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.done == nil {
		done, err := b.two.Allow()
		if err != nil {
			return
		}
		t.done = done
		if b.mark.Load()>>1 != t.mark>>1 {
			outcome = errNeither
		}
	}
	t.done(outcome)
	b.note()
}

// note finds out whether calls have to be counted. The lock is held.
func (b *breaker) note() {
	counted := uint64(0)
	if b.two.State() != gobreaker.StateClosed || b.two.Counts().ConsecutiveFailures > 0 {
		counted = 1
	}
	b.mark.Store(b.mark.Load()&^1 + counted) // after State, which may change it
}

// closed reports whether calls pass, as far as is known without asking; an open breaker whose time has come counts as closed, because the
// next call tries it.
func (b *breaker) closed(now func() int64) bool {
	until := b.until.Load()
	return until == 0 || now() > until
}

// state names the state of the breaker, empty if there is none.
func (b *breaker) state() string {
	if b.two == nil {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.two.State().String()
}
