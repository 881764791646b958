package pin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what is remembered of one list.
const (
	maxAudiences = 64
	maxChanges   = 1000
	maxShown     = 10 // names in a line of the log
)

// logPause is how long an upstream that never comes to rest waits for its next line in the log.
const logPause = 10 * time.Second

// Listing is what an upstream listed of a kind to an audience.
type Listing struct {
	Upstream string
	Server   string // what it calls itself
	Kind     string
	Audience string // empty for clients that declare nothing
	Whole    bool   // nothing was cut off
	Names    []string
	Texts    []json.RawMessage // the definitions as the server wrote them, by the index of their names
}

// sight is what is known of one list.
type sight struct {
	memo    map[[sha256.Size]byte]string // hashes of definitions by those of their bytes, so that few are read again
	changes []Change
	logged  string // which changes
	at      time.Time
	flagged time.Time // when hidden text was logged last
}

// has reports whether something happened to any definition.
func (s *sight) has(change string) bool {
	return slices.ContainsFunc(s.changes, func(c Change) bool { return c.Change == change })
}

// sight returns what is known of a list. The caller holds b.mu, or has the book alone.
func (b *Book) sight(at scope) *sight {
	s := b.sights[at]
	if s == nil {
		b.forget(at)
		s = &sight{}
		b.sights[at] = s
	}
	return s
}

// forget makes room for one more audience.
func (b *Book) forget(to scope) {
	n, some := 0, scope{}
	for at := range b.sights {
		if at.upstream == to.upstream && at.kind == to.kind && at.audience != "" {
			n, some = n+1, at
		}
	}
	if n >= maxAudiences {
		delete(b.sights, some)
	}
}

// Review compares a list with what is trusted. The first list of a kind that is not empty is trusted as it is, which
// is on disk when Review returns. It returns why definitions must be withheld from clients, by name; nothing where the mode
// lets them pass.
func (b *Book) Review(ctx context.Context, l Listing) (withheld map[string]string) {
	at := scope{l.Upstream, l.Kind, l.Audience}
	mode := b.Mode(l.Upstream)
	hashes := b.hash(ctx, at, l)

	b.mu.Lock()
	first := b.trust(l, hashes)
	s := b.sight(at)
	before := s.changes
	s.changes, withheld = b.compare(l, hashes)
	if !mode.withholds() {
		withheld = nil
	}
	if l.Audience == "" {
		delete(b.sights, scope{l.Upstream, l.Kind, restored})
	}
	if !equal(before, s.changes) {
		b.waiting, b.stirred = true, true
	}
	line := s.line(l, mode)
	b.settle(l.Upstream)
	b.mu.Unlock()

	if first {
		b.save()
	}
	if line != nil {
		b.Log.Log(ctx, levelOf(mode), "what an upstream lists is not what was approved", line...)
	}
	return withheld
}

func levelOf(m Mode) slog.Level {
	if m == Observe {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// hash returns the hashes of definitions, and logs what those that are new have to hide: of a few, and not all the time, since
// a server can make as many as it likes.
func (b *Book) hash(ctx context.Context, at scope, l Listing) []string {
	b.mu.Lock()
	memo := b.sight(at).memo
	b.mu.Unlock()
	fresh := make(map[[sha256.Size]byte]string, len(l.Names))
	out := make([]string, len(l.Names))
	var flags []Flag
	for i, text := range l.Texts {
		key := keyOf(l.Server, l.Names[i], text)
		known, ok := memo[key]
		if !ok {
			canonical := canonicalOf(text)
			known = Hash(l.Server, canonical)
			if len(flags) < maxShown {
				if found := Scan(l.Names[i], canonical); len(found) > 0 {
					flags = append(flags, Flag{Name: rpc.Excerpt(l.Names[i]), Hash: known, Findings: found})
				}
			}
		}
		fresh[key], out[i] = known, known
	}
	b.mu.Lock()
	s := b.sight(at)
	s.memo = fresh
	calm := len(flags) > 0 && time.Since(s.flagged) >= logPause
	if calm {
		s.flagged = time.Now()
	}
	b.mu.Unlock()
	for _, f := range flags {
		if calm {
			b.Log.WarnContext(ctx, "a definition has text that may not show", "upstream", l.Upstream, "kind", l.Kind, "name", f.Name,
				"sha256", f.Hash, "found", f.Findings)
		}
	}
	return out
}

// keyOf returns what definitions are remembered by.
func keyOf(server, name string, text []byte) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range []string{server, name} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	h.Write(text)
	h.Sum(key[:0])
	return key
}

// canonicalOf returns the canonical form of a text that an upstream sent; the text itself if it is no JSON.
func canonicalOf(text json.RawMessage) []byte {
	canonical, err := Canonical(text)
	if err != nil {
		return text
	}
	return canonical
}

// kept returns a definition as it is kept; nothing if it is too long.
func kept(text json.RawMessage) json.RawMessage {
	if canonical := canonicalOf(text); len(canonical) <= maxDefinition {
		return canonical
	}
	return nil
}

// trust pins the first list of a kind. It reports whether it did. The caller holds b.mu.
func (b *Book) trust(l Listing, hashes []string) bool {
	if len(l.Names) == 0 || b.pins[l.Upstream][l.Kind] != nil {
		return false
	}
	now := time.Now().UTC().Truncate(time.Second)
	for i, name := range l.Names {
		b.pins.set(l.Upstream, l.Kind, name, Pin{Hash: hashes[i], Server: l.Server, Trust: FirstUse, At: now, Definition: kept(l.Texts[i])})
	}
	b.unsaved = append(b.unsaved, scope{upstream: l.Upstream, kind: l.Kind})
	b.stirred = true
	return true
}

// compare returns in what a list differs from what is trusted, and why nobody may have what does. The caller holds b.mu.
func (b *Book) compare(l Listing, hashes []string) (changes []Change, withheld map[string]string) {
	trusted := b.pins[l.Upstream][l.Kind]
	listed := make(map[string]bool, len(l.Names))
	withheld = map[string]string{}
	for i, name := range l.Names {
		listed[name] = true
		if b.pins.has(l.Upstream, l.Kind, name, hashes[i]) {
			continue
		}
		c := Change{Upstream: l.Upstream, Kind: l.Kind, Name: name, Change: New, Hash: hashes[i], Server: l.Server}
		withheld[name] = "is new and was not approved yet"
		if _, known := trusted[name]; known {
			c.Change, withheld[name] = Changed, "has changed since it was approved"
		}
		if len(changes) < maxChanges {
			c.Definition = kept(l.Texts[i])
			changes = append(changes, c)
		}
	}
	for name := range trusted {
		if l.Whole && l.Audience == "" && !listed[name] && len(changes) < 2*maxChanges {
			changes = append(changes, Change{Upstream: l.Upstream, Kind: l.Kind, Name: name, Change: Removed})
		}
	}
	return sorted(changes), withheld
}

// equal reports whether the same changes wait.
func equal(a, b []Change) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].key() != b[i].key() || a[i].Change != b[i].Change {
			return false
		}
	}
	return true
}

// line returns what to log of a list: nothing for what was logged before. The caller holds b.mu.
func (s *sight) line(l Listing, mode Mode) []any {
	id := sha256.New()
	names := map[string][]string{}
	for _, c := range s.changes {
		fmt.Fprintln(id, c.key())
		switch all := names[c.Change]; {
		case len(all) < maxShown:
			names[c.Change] = append(all, rpc.Excerpt(c.Name))
		case len(all) == maxShown:
			names[c.Change] = append(all, "…")
		}
	}
	which := string(id.Sum(nil))
	if len(s.changes) == 0 {
		s.logged = ""
		return nil
	}
	if which == s.logged || time.Since(s.at) < logPause {
		return nil
	}
	s.logged, s.at = which, time.Now()
	line := []any{"upstream", l.Upstream, "kind", l.Kind, "mode", string(mode)}
	for _, change := range []string{New, Changed, Removed} {
		if len(names[change]) > 0 {
			line = append(line, change, names[change])
		}
	}
	return append(line, "fix", "headgate pins diff "+l.Upstream)
}
