package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Setting is one value of a configuration, by the path that leads to it, such as upstreams.github.timeout.
type Setting struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	// Secret says that the value must not be shown.
	Secret bool `json:"secret,omitempty"`
}

// Change is what is different about one value. Values that are secret are not in it.
type Change struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	What   string `json:"what"` // added, removed or changed
	Secret bool   `json:"secret,omitempty"`
	// Restart says that it takes effect only when the gateway is started again.
	Restart bool `json:"restart,omitempty"`
}

// The words for what happened to a value.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// String returns the change in words.
func (c Change) String() string {
	if c.Restart {
		c.Restart = false
		return c.String() + " (needs a restart)"
	}
	switch {
	case c.What != Changed && (c.Secret || c.Before+c.After == ""):
		return c.Path + " " + c.What
	case c.Secret:
		return c.Path + " changed (a secret)"
	case c.What != Changed:
		return fmt.Sprintf("%s %s: %s", c.Path, c.What, c.Before+c.After)
	}
	return fmt.Sprintf("%s changed: %s → %s", c.Path, c.Before, c.After)
}

// Settings returns all values of a configuration that are not empty, sorted by path. Lines and columns are none: what
// moves within its file stays the same.
func (c *Config) Settings() []Setting {
	placed := *c // wherever who reads it is
	placed.DataDir = absolute(c.DataDir)
	if c.Audit != nil {
		audit := *c.Audit
		audit.File = absolute(audit.File)
		placed.Audit = &audit
	}
	if c.TLS != nil {
		placed.TLS = &TLS{Cert: absolute(c.TLS.Cert), Key: absolute(c.TLS.Key), ClientCA: absolute(c.TLS.ClientCA)}
	}
	return settingsOf(&placed, c.Secrets())
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if out, err := filepath.Abs(path); err == nil {
		return out
	}
	return path
}

// SettingsOf returns the values of a part of a configuration, as [Config.Settings] does.
func SettingsOf(part any) []Setting { return settingsOf(part, nil) }

func settingsOf(part any, secrets []string) []Setting {
	w := walker{secrets: slices.DeleteFunc(secrets, func(s string) bool { return s == "" })}
	w.walk("", reflect.ValueOf(part), false)
	slices.SortFunc(w.out, func(a, b Setting) int { return cmp.Compare(a.Path, b.Path) })
	return w.out
}

// Fingerprint tells configurations apart, or parts of them, by all their values. It must not be shown: who knows all of
// them but one could find that one out.
func Fingerprint(settings []Setting) string { return digest(settings, true) }

// Digest tells configurations apart that differ in more than secrets. It may be shown.
func Digest(settings []Setting) string { return digest(settings, false)[:12] }

func digest(settings []Setting, secrets bool) string {
	h := sha256.New()
	for _, s := range settings {
		value := s.Value
		if s.Secret && !secrets {
			value = ""
		}
		fmt.Fprintf(h, "%d:%s%d:%s", len(s.Path), s.Path, len(value), value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Compare returns in what two configurations differ, sorted by path. Both must be sorted, as [Config.Settings] returns them. Where
// something came or went that has more than one value, it is one change.
func Compare(before, after []Setting) []Change {
	whole := wholes{before: parents(before), after: parents(after)}
	var out []Change
	add := func(c Change) {
		if n := len(out); (n == 0 || out[n-1] != c) && (c.What == Changed || !strings.HasSuffix(c.Path, inOrder)) {
			out = append(out, c)
		}
	}
	for len(before) > 0 || len(after) > 0 {
		switch order := compareFirst(before, after); {
		case order < 0:
			add(whole.gone(before[0]))
			before = before[1:]
		case order > 0:
			add(whole.came(after[0]))
			after = after[1:]
		default:
			if b, a := before[0], after[0]; b.Value != a.Value && (!strings.HasSuffix(a.Path, inOrder) || reordered(b.Value, a.Value)) {
				c := Change{Path: a.Path, What: Changed, Secret: a.Secret || b.Secret}
				if !c.Secret {
					c.Before, c.After = b.Value, a.Value
				}
				add(c)
			}
			before, after = before[1:], after[1:]
		}
	}
	return out
}

func compareFirst(before, after []Setting) int {
	switch {
	case len(before) == 0:
		return 1
	case len(after) == 0:
		return -1
	}
	return cmp.Compare(before[0].Path, after[0].Path)
}

// wholes are the paths that something lies below.
type wholes struct{ before, after map[string]bool }

func parents(settings []Setting) map[string]bool {
	out := map[string]bool{}
	for _, s := range settings {
		for path := s.Path; ; {
			i := strings.LastIndexByte(path, '.')
			if i < 0 {
				break
			}
			path = path[:i]
			out[path] = true
		}
	}
	return out
}

// gone is the change that took a value away: that of the largest thing around it which went.
func (w wholes) gone(s Setting) Change {
	if path, ok := topmost(s.Path, w.after); ok {
		return Change{Path: path, What: Removed}
	}
	if s.Secret {
		return Change{Path: s.Path, What: Removed, Secret: true}
	}
	return Change{Path: s.Path, What: Removed, Before: s.Value}
}

// came is the change that brought a value.
func (w wholes) came(s Setting) Change {
	if path, ok := topmost(s.Path, w.before); ok {
		return Change{Path: path, What: Added}
	}
	if s.Secret {
		return Change{Path: s.Path, What: Added, Secret: true}
	}
	return Change{Path: s.Path, What: Added, After: s.Value}
}

// topmost returns the shortest path above this one, below the first part of it, that is not among others.
func topmost(path string, others map[string]bool) (string, bool) {
	first := true
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if !first && !others[path[:i]] {
			return path[:i], true
		}
		first = false
	}
	return "", false
}
