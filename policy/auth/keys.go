package auth

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// lookInterval is how often the key file is looked at, at most: so long a key that was
// revoked may still be good.
const lookInterval = time.Second

// keys are the API keys of the configuration and those of the key file, which is read
// again when it changes.
type keys struct {
	fixed  []*apiKey
	path   string // of the key file; empty if there is none
	log    *slog.Logger
	table  atomic.Pointer[keyTable]
	looked atomic.Int64 // when, in nanoseconds since 1970

	mu      sync.Mutex
	stamp   stamp
	refused string // the last error, logged once
}

// stamp tells whether a file is the one that was seen before.
type stamp struct {
	modified time.Time
	size     int64
}

// newKeys reads the key file for the first time.
func newKeys(fixed []*apiKey, path string, log *slog.Logger, former *keys) (*keys, error) {
	k := &keys{fixed: fixed, path: path, log: log}
	k.looked.Store(time.Now().UnixNano())
	var last *keyTable
	if former != nil {
		last = former.table.Load()
	}
	k.table.Store(newKeyTable(fixed, last))
	return k, k.load(last)
}

// find returns the key of a credential with this digest, or nil, and the table that
// has it.
func (k *keys) find(d *digest, now time.Time) (*apiKey, *keyTable) {
	if k.path != "" && now.UnixNano()-k.looked.Load() > int64(lookInterval) {
		k.refresh(now)
	}
	t := k.table.Load()
	return t.find(d, now), t
}

// bearer returns who has the key of a name, whether or not it has expired.
func (k *keys) bearer(id string) (rpc.Principal, bool) {
	k.refresh(time.Now())
	return k.table.Load().bearer(id)
}

// refresh reads the key file again if it changed. Calls do not wait for one that is
// reading already. A file that cannot be read leaves the keys as they were.
func (k *keys) refresh(now time.Time) {
	if !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	k.looked.Store(now.UnixNano())
	switch err := k.load(k.table.Load()); {
	case err == nil:
		k.refused = ""
	case err.Error() != k.refused:
		k.refused = err.Error()
		k.log.Error("key file refused, the keys read before stay good", "error", err)
	}
}

// load reads the key file if it is not the one that was read last. Where keys were used is in the former table. The stamp is taken
// first, so that a change in between is found by the next look.
func (k *keys) load(former *keyTable) error {
	if k.path == "" {
		return nil
	}
	info, err := os.Stat(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if k.stamp != (stamp{}) {
			k.stamp = stamp{}
			k.table.Store(newKeyTable(k.fixed, former))
		}
		return nil
	case err != nil:
		return err
	}
	seen := stamp{info.ModTime(), info.Size()}
	if seen == k.stamp {
		return nil
	}
	records, err := ReadKeys(k.path)
	if err != nil {
		return err
	}
	made, err := good(records)
	if err != nil {
		return err
	}
	k.table.Store(newKeyTable(append(slices.Clone(k.fixed), k.without(made)...), former))
	k.stamp = seen
	k.log.Debug("key file read", "keys", len(made))
	return nil
}

// without leaves out keys of the file that have the name of one in the configuration:
// their bearers would be one principal.
func (k *keys) without(made []*apiKey) []*apiKey {
	return slices.DeleteFunc(made, func(m *apiKey) bool {
		taken := slices.ContainsFunc(k.fixed, func(f *apiKey) bool { return f.principal.Key == m.principal.Key })
		if taken {
			k.log.Warn("key of the key file ignored: the configuration has one of this name", "key", m.principal.Key)
		}
		return taken
	})
}
