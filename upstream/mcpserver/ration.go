package mcpserver

import (
	"sync"
	"time"
)

// rationEvery is how often a hostile or broken upstream may make us log the same complaint.
const rationEvery = 10 * time.Second

// ration lets one of many like events be logged and counts the others. The zero
// value is ready.
type ration struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// take reports whether the event may be logged, and how many before it were not.
func (r *ration) take(now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		r.skipped++
		return 0, false
	}
	skipped, r.skipped = r.skipped, 0
	r.next = now.Add(rationEvery)
	return skipped, true
}
