package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// secretNamed remembers which names of fields say that their values are secret. There are few: they stand in the code.
var secretNamed nameTable

// mostNames bounds the names that are remembered.
const mostNames = 1 << 10

// nameTable is a table that is copied when it grows.
type nameTable struct {
	known atomic.Pointer[map[string]bool]
	mu    sync.Mutex
}

func (t *nameTable) has(name string) bool {
	known := t.known.Load()
	if known != nil {
		if secret, ok := (*known)[name]; ok {
			return secret
		}
		if len(*known) >= mostNames {
			return namesSecret(name)
		}
	}
	return t.add(name)
}

func (t *nameTable) add(name string) bool {
	secret := namesSecret(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := map[string]bool{name: secret}
	if known := t.known.Load(); known != nil {
		maps.Copy(grown, *known)
	}
	t.known.Store(&grown)
	return secret
}
