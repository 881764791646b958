package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// keyLen is the length of a key in bytes.
const keyLen = 32

// idLen is how many bytes of a handle name the key it was sealed with.
const idLen = 4

// encoding has one text for each handle: bits that do not count must be zero.
var encoding = base64.RawURLEncoding.Strict()

// ErrInvalid is the one error for every handle that does not open: not ours,
// changed, cut, bound to something else, or sealed with a key that is gone.
var ErrInvalid = errors.New("seal: invalid handle")

// Key is the secret that handles are sealed with.
type Key [keyLen]byte

// String hides the key.
func (Key) String() string { return "[redacted]" }

// GoString hides the key.
func (Key) GoString() string { return "[redacted]" }

// MarshalText hides the key where a log is JSON.
func (Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Keyring seals with its first key and opens with all of them, so that a key can be
// replaced while handles of the old one are still about. It may be used by many
// goroutines at once.
type Keyring struct {
	keys []ringKey

	deriving sync.Mutex
	derived  atomic.Pointer[map[string][]*sealer] // by purpose, in the order of keys; copied to be changed
}

type ringKey struct {
	id     [idLen]byte
	secret Key
}

// NewKeyring returns a keyring. The first key seals; at least one is needed.
func NewKeyring(keys ...Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: a keyring needs a key")
	}
	r := &Keyring{}
	for _, k := range keys {
		sum := sha256.Sum256(append([]byte("headgate key id\x00"), k[:]...))
		id := [idLen]byte(sum[:idLen])
		if slices.ContainsFunc(r.keys, func(other ringKey) bool { return other.id == id }) {
			return nil, errors.New("seal: a keyring has the same key twice")
		}
		r.keys = append(r.keys, ringKey{id: id, secret: k})
	}
	r.derived.Store(&map[string][]*sealer{})
	return r, nil
}

// Ephemeral returns a keyring with a key of its own that is gone with the process.
func Ephemeral() (*Keyring, error) {
	var k Key
	if _, err := rand.Read(k[:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return NewKeyring(k)
}

// Seal returns the handle for plain: printable ASCII without spaces, at four thirds
// of the length of plain and 59 more. It opens for the same purpose and bind only.
func (r *Keyring) Seal(purpose string, bind, plain []byte) string {
	s := r.sealers(purpose)[0]
	out := append(make([]byte, 0, idLen+nonceLen+len(plain)+tagLen), r.keys[0].id[:]...)
	return encoding.EncodeToString(s.seal(out, bind, plain))
}

// Open returns what was sealed in a handle for the purpose and bind. Every failure
// is [ErrInvalid]. It tries one key at most, so that its cost depends on the length
// of the handle alone.
func (r *Keyring) Open(purpose string, bind []byte, handle string) ([]byte, error) {
	raw, err := encoding.DecodeString(handle)
	if err != nil || len(raw) < idLen+nonceLen+tagLen {
		return nil, ErrInvalid
	}
	if len(raw) != encoding.DecodedLen(len(handle)) {
		return nil, ErrInvalid // line ends, which decoding skips, are part of no handle
	}
	for i, s := range r.sealers(purpose) {
		if r.keys[i].id == [idLen]byte(raw[:idLen]) {
			return s.open(bind, raw[idLen:])
		}
	}
	return nil, ErrInvalid
}

// sealers returns the ciphers of a purpose. They are derived once and kept: purposes
// are constants of the program.
func (r *Keyring) sealers(purpose string) []*sealer {
	if s := (*r.derived.Load())[purpose]; s != nil {
		return s
	}
	r.deriving.Lock()
	defer r.deriving.Unlock()
	grown := maps.Clone(*r.derived.Load())
	if grown[purpose] == nil {
		for _, k := range r.keys {
			sub, err := hkdf.Key(sha256.New, k.secret[:], nil, "headgate "+purpose, keyLen)
			if err != nil {
				panic(err) // only if keyLen were more than 255 hashes
			}
			grown[purpose] = append(grown[purpose], newSealer(Key(sub)))
		}
		r.derived.Store(&grown)
	}
	return grown[purpose]
}
