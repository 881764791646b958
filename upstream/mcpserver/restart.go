package mcpserver

import (
	"sync"
	"time"
)

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 30 * time.Second
)

// restarts paces how often something is started that keeps ending: at once the
// first time, then after 100 ms, doubling to 30 s. The zero value is ready.
type restarts struct {
	mu       sync.Mutex
	failures int // in a row
	last     time.Time
	cause    error
}

// delay returns how long to wait before the next start, and why the last one ended.
func (r *restarts) delay(now time.Time) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures < 2 {
		return 0, nil
	}
	pause := lastDelay
	if n := r.failures - 2; n < 9 { // 100 ms doubled nine times exceeds 30 s
		pause = firstDelay << n
	}
	return max(0, pause-now.Sub(r.last)), r.cause
}

// failed notes an end that was not wanted.
func (r *restarts) failed(now time.Time, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	r.last, r.cause = now, cause
}

// succeeded notes that what was started has been of use.
func (r *restarts) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures, r.cause = 0, nil
}
