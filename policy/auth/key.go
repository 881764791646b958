package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// digest is the SHA-256 of a credential. Credentials themselves are kept nowhere.
type digest = [sha256.Size]byte

// digestOf hashes without allocating.
func digestOf(credential string) digest {
	var room [512]byte
	if len(credential) <= len(room) {
		return sha256.Sum256(room[:copy(room[:], credential)])
	}
	return sha256.Sum256([]byte(credential))
}

// parseHash reads a digest as the configuration and the key file have it.
func parseHash(text string) (digest, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, config.HashPrefix))
	if err != nil || len(raw) != sha256.Size || !strings.HasPrefix(text, config.HashPrefix) {
		return digest{}, fmt.Errorf("is no sha256: hash")
	}
	return digest(raw), nil
}

// apiKey is a key that is good.
type apiKey struct {
	digest    digest
	principal rpc.Principal
	known     [4]atomic.Uint64 // where it was used lately, hashed
}

// keyTable finds keys. It never changes.
//
// The digest of what a client sends decides where the table looks. Nobody can choose
// digests that agree with a stored one in some bytes, and how long looking takes does
// not depend on how many bytes agree.
type keyTable struct {
	keys map[digest]*apiKey
	seed maphash.Seed
}

// newKeyTable makes a table that takes the place of another one, unless that is nil: where keys were used is not forgotten.
func newKeyTable(keys []*apiKey, former *keyTable) *keyTable {
	t := &keyTable{keys: make(map[digest]*apiKey, len(keys)), seed: maphash.MakeSeed()}
	if former == nil {
		former = &keyTable{seed: t.seed}
	}
	t.seed = former.seed
	for _, k := range keys {
		t.keys[k.digest] = k
		if old := former.keys[k.digest]; old != nil && old != k {
			for i := range k.known {
				k.known[i].Store(old.known[i].Load())
			}
		}
	}
	return t
}

// find returns the key of a credential with this digest, or nil.
func (t *keyTable) find(d *digest, now time.Time) *apiKey {
	k := t.keys[*d]
	if k == nil || subtle.ConstantTimeCompare(k.digest[:], d[:]) != 1 {
		return nil
	}
	if !k.principal.Expires.IsZero() && !now.Before(k.principal.Expires) {
		return nil
	}
	return k
}

// bearer returns who has the key of a name.
func (t *keyTable) bearer(id string) (rpc.Principal, bool) {
	for _, k := range t.keys {
		if k.principal.Key == id {
			return k.principal, true
		}
	}
	return rpc.Principal{}, false
}

// isKnown reports whether the key was used at an address before.
func (t *keyTable) isKnown(k *apiKey, at netip.Addr) bool {
	h := t.place(at)
	return k.known[h>>1%uint64(len(k.known))].Load() == h
}

// note remembers that the key was used at an address. It writes only what is new.
func (t *keyTable) note(k *apiKey, at netip.Addr) {
	h := t.place(at)
	if slot := &k.known[h>>1%uint64(len(k.known))]; slot.Load() != h {
		slot.Store(h)
	}
}

func (t *keyTable) place(at netip.Addr) uint64 { return maphash.Comparable(t.seed, Network(at)) | 1 }

// configured returns the keys that the configuration has.
func configured(keys []config.APIKey) ([]*apiKey, error) {
	var out []*apiKey
	for _, k := range keys {
		if k.Disabled != "" {
			continue
		}
		d, err := parseHash(k.Hash)
		if err != nil {
			return nil, fmt.Errorf("key %q %w", k.ID, err)
		}
		out = append(out, &apiKey{digest: d, principal: rpc.Principal{Org: k.Org, Team: k.Team, Key: k.ID, User: k.User, Scopes: k.Scopes}})
	}
	return out, nil
}
