package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// separator stands between an upstream's name and what it calls the thing.
	// Upstream names hold no separator and end in no underscore, so two canonical
	// names that differ in either part differ.
	separator = "__"
	// maxName is the longest name that the interfaces of language models take.
	maxName = 64
	// hashLen is how many hexadecimal digits tell cut and mapped names apart.
	hashLen = 8
)

// Canonical returns the name that rules match and merged endpoints always accept:
// UPSTREAM__own, at most 64 characters of [A-Za-z0-9_-]. A name that must be cut or
// mapped for that ends in a hash of the original, so it is the same after a restart
// and never another's.
func Canonical(upstream, own string) string {
	return fit(upstream+separator, own)
}

// Plain returns own as a merged endpoint may show it without its upstream.
func Plain(own string) string { return fit("", own) }

// Bare returns the canonical name of what belongs to the gateway itself, and to no upstream: its own one, at most 64 characters of
// [A-Za-z0-9_-] without the separator, so that it is no upstream's.
func Bare(own string) string {
	name := fit("", own)
	if !strings.Contains(name, separator) {
		return name
	}
	for strings.Contains(name, separator) {
		name = strings.ReplaceAll(name, separator, "_")
	}
	sum := sha256.Sum256([]byte(own))
	return strings.TrimRight(name[:min(len(name), maxName-1-hashLen)], "_-") + "_" + hex.EncodeToString(sum[:])[:hashLen]
}

func fit(prefix, own string) string {
	name := prefix + strings.Map(allowed, own)
	if name == prefix+own && len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(prefix + own))
	name = strings.TrimRight(name[:min(len(name), maxName-1-hashLen)], "_-")
	return name + "_" + hex.EncodeToString(sum[:])[:hashLen]
}

func allowed(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		return r
	}
	return '_'
}
