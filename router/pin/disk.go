package pin

import (
	"path/filepath"
	"reflect"
	"slices"
)

// refresh takes up what was approved since the file was read.
func (b *Book) refresh() {
	if b.Dir == "" {
		return
	}
	b.disk.Lock()
	defer b.disk.Unlock()
	now, err := stampOf(filepath.Join(b.Dir, PinsFile))
	if err != nil || now == b.stamp {
		b.complain(err)
		return
	}
	pins, err := read(b.Dir, PinsFile, parsePins)
	b.stamp = now
	if err != nil {
		b.complain(err) // and go on with what was trusted before
		return
	}
	b.said = ""
	for _, upstream := range b.adopt(pins) {
		b.Log.Info("pins loaded", "upstream", upstream)
		b.approved(upstream)
	}
}

// adopt trusts what a file says, and what was trusted at first sight since it was written. It returns the upstreams for which
// that makes a difference.
func (b *Book) adopt(pins Pins) (changed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pins == nil {
		pins = Pins{}
	}
	for _, at := range b.unsaved {
		if pins[at.upstream][at.kind] != nil {
			continue
		}
		for name, trusted := range b.pins[at.upstream][at.kind] {
			for _, e := range trusted {
				pins.set(at.upstream, at.kind, name, e)
			}
		}
	}
	for upstream := range b.known.Load().modes {
		if !reflect.DeepEqual(b.pins[upstream], pins[upstream]) {
			changed = append(changed, upstream)
		}
	}
	b.pins, b.stirred = pins, true
	for _, s := range b.sights {
		s.changes = slices.DeleteFunc(slices.Clone(s.changes), func(c Change) bool { return pins.has(c.Upstream, c.Kind, c.Name, c.Hash) })
	}
	for _, upstream := range changed {
		b.settle(upstream)
	}
	return changed
}

// save writes what was trusted at first sight.
func (b *Book) save() {
	if b.Dir == "" {
		return
	}
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	done := len(b.unsaved)
	b.mu.Unlock()
	if done == 0 {
		return
	}
	b.complain(b.writePins())
}

// writePins writes what is trusted over the file, with what others approved there meanwhile. The caller holds b.disk.
func (b *Book) writePins() error {
	release, err := lock(b.Dir)
	if err != nil {
		return err
	}
	defer release()
	path := filepath.Join(b.Dir, PinsFile)
	now, err := stampOf(path)
	if err != nil {
		return err
	}
	var changed []string
	if now != b.stamp {
		pins, err := read(b.Dir, PinsFile, parsePins)
		if err != nil {
			return err
		}
		changed = b.adopt(pins)
	}
	b.mu.Lock()
	text, err := render(pinsText{version, b.pins})
	done := len(b.unsaved)
	b.mu.Unlock()
	if err == nil {
		err = replace(b.Dir, PinsFile, text)
	}
	if err == nil {
		b.mu.Lock()
		b.unsaved = b.unsaved[done:]
		b.mu.Unlock()
		b.stamp, err = stampOf(path)
	}
	for _, upstream := range changed {
		b.approved(upstream)
	}
	return err
}

// savePending writes what waits, if that has changed.
func (b *Book) savePending() {
	if b.Dir == "" {
		return
	}
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	waiting := b.waiting
	var changes []Change
	if b.waiting = false; waiting {
		changes = b.changes("")
	}
	b.mu.Unlock()
	if !waiting {
		return
	}
	if err := writePending(b.Dir, changes); err != nil {
		b.complain(err)
		b.mu.Lock()
		b.waiting = true // and is tried again
		b.mu.Unlock()
	}
}

func writePending(dir string, changes []Change) error {
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	return write(dir, pendingFile, pendingText{version, changes})
}

// complain logs a problem with the files once. The caller holds b.disk.
func (b *Book) complain(err error) {
	if err == nil || err.Error() == b.said {
		return
	}
	b.said = err.Error()
	b.Log.Error("pins", "error", err)
}
