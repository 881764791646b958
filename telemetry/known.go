package telemetry

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// knownSecrets are the secrets of the configuration, as they look in text.
type knownSecrets struct {
	replacer *strings.Replacer // nil where there are none
	begins   [1 << 10]uint64   // a bit for each hash of how one begins
}

// newKnownSecrets makes them findable as they are, and as they are written in addresses and in JSON.
func newKnownSecrets(secrets []string) *knownSecrets {
	// Of two secrets of which one begins with the other, the longer one is found first.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	k := &knownSecrets{}
	var pairs []string
	for _, s := range secrets {
		if len(s) < shortestSecret {
			continue
		}
		quoted, _ := json.Marshal(s) // strings always can be
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), string(quoted[1 : len(quoted)-1])} {
			pairs = append(pairs, form, redacted)
			h := beginning(form)
			k.begins[h>>6] |= 1 << (h & 63)
		}
	}
	if pairs != nil {
		k.replacer = strings.NewReplacer(pairs...)
	}
	return k
}

// beginning hashes the first bytes of text that has at least shortestSecret of them.
func beginning(s string) uint32 {
	n := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return n * 0x9E3779B1 >> 16
}

// hide replaces them. Text in which none begins is returned at once.
func (k *knownSecrets) hide(s string) string {
	if !k.mayBeIn(s) {
		return s
	}
	return k.replacer.Replace(s)
}

// mayBeIn reports whether one may be in text, seldom in vain.
func (k *knownSecrets) mayBeIn(s string) bool {
	if k.replacer == nil {
		return false
	}
	for i := 0; i+shortestSecret <= len(s); i++ {
		if h := beginning(s[i:]); k.begins[h>>6]&(1<<(h&63)) != 0 {
			return true
		}
	}
	return false
}
