package pin

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// maxSaid bounds which mentions are known to be logged.
const maxSaid = 10_000

// mentioned logs definitions that name tools of other upstreams, each once. Which names there are is known only
// after all have been listed, so it looks now and then.
type mentioned struct {
	next time.Time // when it looks again at the earliest
	said map[string]bool
}

// look compares all definitions with all names, if any of them changed.
func (m *mentioned) look(b *Book) {
	b.mu.Lock()
	stirred := b.stirred
	var r Records
	if b.stirred = false; stirred {
		r = Records{Pins: b.pins.clone(), Changes: b.changes("")}
	}
	b.mu.Unlock()
	if !stirred {
		return
	}
	began := time.Now()
	flags := r.flags(Filter{}, func(n Names, upstream, _ string, definition []byte) []Finding {
		return n.Mentions(upstream, definition)
	})
	// Servers that never come to rest cost at most a hundredth of a processor.
	m.next = time.Now().Add(max(compareInterval, 100*time.Since(began)))
	for _, f := range flags {
		key := f.Upstream + "\x00" + f.Hash
		if m.said[key] || len(m.said) >= maxSaid {
			continue
		}
		m.said[key] = true
		b.Log.Warn("a definition is about another upstream's tool", "upstream", f.Upstream, "kind", f.Kind, "name", rpc.Excerpt(f.Name), "sha256", f.Hash,
			"found", f.Findings)
	}
}
