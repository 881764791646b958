package mcpserver

import (
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

const (
	// eraPatience is how long a server that has just answered in the modern way is not
	// suspected of having become another one.
	eraPatience = 5 * time.Second
	// maxEraPatience is the same for one that turns to and fro, because replicas of both eras
	// share its address.
	maxEraPatience = 5 * time.Minute
)

// turns notices that an upstream has changed its era, as when another version of it is deployed.
// The zero value is ready.
type turns struct {
	mu       sync.Mutex
	doubted  *eras // what was believed until an answer spoke against it; nil if nothing did
	last     time.Time
	patience time.Duration
}

// doubt notes that what was known of the eras is to be found out again.
func (t *turns) doubt(known *eras) {
	if known == nil || known.tentative {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubted = known
}

// settle notes an era that turned out to be spoken, and reports whether it is a new
// one. Each time that happens soon after the time before, the next doubt has to wait longer.
func (t *turns) settle(era rpc.Era, now time.Time) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.doubted
	t.doubted = nil
	if before == nil || era == rpc.Modern && before.modern || era == rpc.Legacy && before.legacy {
		return false
	}
	if now.Sub(t.last) < 2*maxEraPatience {
		t.patience = min(2*max(t.patience, eraPatience), maxEraPatience)
	} else {
		t.patience = eraPatience
	}
	t.last = now
	return true
}

// wait returns how long a modern answer protects the server from being suspected.
func (t *turns) wait() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.patience, eraPatience)
}
