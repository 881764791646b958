package catalog

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what is remembered about URIs that stand in no list.
const (
	maxPrincipals = 256
	maxOwned      = 512 // for each principal
	maxOwnedURI   = 1 << 10
)

// owners remembers which upstream named a URI that no list holds, for each
// principal on its own: what one was shown must not decide where another's read
// goes, nor push out what another was shown.
type owners struct {
	mu          sync.Mutex // makes finding and adding a principal one step
	byPrincipal *lru.Cache[principalKey, *lru.Cache[string, string]]
}

type principalKey struct{ org, team, key, user string }

func keyOfPrincipal(p rpc.Principal) principalKey {
	return principalKey{p.Org, p.Team, p.Key, p.User}
}

func newOwners() *owners {
	return &owners{byPrincipal: newLRU[principalKey, *lru.Cache[string, string]](maxPrincipals)}
}

// newLRU returns a cache for a positive number of entries.
func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	cache, _ := lru.New[K, V](size) // fails for sizes that are not positive only
	return cache
}

// learn remembers that an upstream showed a principal a URI. The first one counts
// until it is forgotten.
func (o *owners) learn(p rpc.Principal, uri, upstream string) {
	if len(uri) > maxOwnedURI {
		return
	}
	o.mu.Lock()
	uris, ok := o.byPrincipal.Get(keyOfPrincipal(p))
	if !ok {
		uris = newLRU[string, string](maxOwned)
		o.byPrincipal.Add(keyOfPrincipal(p), uris)
	}
	o.mu.Unlock()
	uris.ContainsOrAdd(uri, upstream)
}

// of returns which upstream showed a principal a URI.
func (o *owners) of(p rpc.Principal, uri string) (upstream string, ok bool) {
	uris, ok := o.byPrincipal.Get(keyOfPrincipal(p))
	if !ok {
		return "", false
	}
	return uris.Get(uri)
}
