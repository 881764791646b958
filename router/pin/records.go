package pin

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Records are what the files of a data directory hold.
type Records struct {
	Pins    Pins
	Changes []Change // what waits for approval
	dir     string
	stamp   stamp
}

// Load reads the files of a data directory. What is not there is empty.
func Load(dir string) (*Records, error) {
	r := &Records{dir: dir}
	var err error
	if r.stamp, err = stampOf(filepath.Join(dir, PinsFile)); err != nil {
		return nil, err
	}
	if r.Pins, err = read(dir, PinsFile, parsePins); err != nil {
		return nil, err
	}
	if r.Pins == nil {
		r.Pins = Pins{}
	}
	if r.Changes, err = read(dir, pendingFile, parsePending); err != nil {
		return nil, err
	}
	return r, nil
}

// Waiting returns the changes that a filter chooses.
func (r *Records) Waiting(f Filter) []Change {
	return slices.DeleteFunc(slices.Clone(r.Changes), func(c Change) bool { return !f.chooses(c.Upstream, c.Name, c.Hash) })
}

// Fields returns in what a change differs from what was trusted last.
func (r *Records) Fields(c Change) []Field {
	var before Pin
	if trusted := r.Pins.of(c.Upstream, c.Kind, c.Name); len(trusted) > 0 && c.Change != New {
		before = trusted[len(trusted)-1]
	}
	fields := compareFields(before.Definition, c.Definition)
	if c.Change == Changed && before.Server != c.Server {
		fields = append(fields, Field{"server", visible(quoted(before.Server)), visible(quoted(c.Server))})
	}
	return fields
}

// Flag is a definition that a person should look at, though it may be pinned.
type Flag struct {
	Upstream string    `json:"upstream"`
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Hash     string    `json:"sha256"`
	Findings []Finding `json:"findings"`
}

// Flags searches the definitions that wait, and those that were trusted at first sight.
func (r *Records) Flags(f Filter) []Flag {
	return r.flags(f, func(n Names, upstream, name string, definition []byte) []Finding {
		return append(Scan(name, definition), n.Mentions(upstream, definition)...)
	})
}

func (r *Records) flags(f Filter, search func(n Names, upstream, name string, definition []byte) []Finding) []Flag {
	names := NamesOf(r.Pins, r.Changes)
	var flags []Flag
	look := func(upstream, kind, name, hash string, definition json.RawMessage) {
		if definition == nil || !f.chooses(upstream, name, hash) {
			return
		}
		if found := search(names, upstream, name, definition); len(found) > 0 {
			flags = append(flags, Flag{upstream, kind, name, hash, found})
		}
	}
	for _, c := range r.Changes {
		look(c.Upstream, c.Kind, c.Name, c.Hash, c.Definition)
	}
	for upstream, kinds := range r.Pins {
		for kind, all := range kinds {
			for name, pins := range all {
				for _, e := range pins {
					if e.Trust == FirstUse {
						look(upstream, kind, name, e.Hash, e.Definition)
					}
				}
			}
		}
	}
	slices.SortFunc(flags, func(a, b Flag) int {
		return strings.Compare(a.Upstream+"\x00"+a.Kind+"\x00"+a.Name+"\x00"+a.Hash, b.Upstream+"\x00"+b.Kind+"\x00"+b.Name+"\x00"+b.Hash)
	})
	return flags
}

// Approve trusts what waits, and what was trusted at first sight, where the filter chooses it, and writes that to
// the files. It returns what is approved by that. A gateway that runs on the directory takes it up by itself.
func Approve(dir string, f Filter) ([]Change, error) {
	release, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	r, err := Load(dir)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	done := r.approveFirst(f, now)
	for _, c := range r.Waiting(f) {
		if c.Change == Removed {
			delete(r.Pins[c.Upstream][c.Kind], c.Name)
		} else {
			r.Pins.set(c.Upstream, c.Kind, c.Name, Pin{Hash: c.Hash, Server: c.Server, Trust: Approved, At: now, Definition: c.Definition})
		}
		done = append(done, c)
	}
	if len(done) == 0 {
		return nil, nil
	}
	rest := slices.DeleteFunc(r.Changes, func(c Change) bool { return f.chooses(c.Upstream, c.Name, c.Hash) })
	return sorted(done), errors.Join(write(dir, PinsFile, pinsText{version, r.Pins}), write(dir, pendingFile, pendingText{version, rest}))
}

// approveFirst approves what was trusted at first sight.
func (r *Records) approveFirst(f Filter, now time.Time) (done []Change) {
	for upstream, kinds := range r.Pins {
		for kind, all := range kinds {
			for name, pins := range all {
				for i := range pins {
					if e := &pins[i]; e.Trust == FirstUse && f.chooses(upstream, name, e.Hash) {
						e.Trust, e.At = Approved, now
						done = append(done, Change{Upstream: upstream, Kind: kind, Name: name, Change: FirstUse, Hash: e.Hash, Server: e.Server})
					}
				}
			}
		}
	}
	return done
}
