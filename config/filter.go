package config

import "unicode/utf8"

// Filter chooses names by globs: * stands for any text, ? for one character. A name passes when no pattern of Deny and, unless
// Allow is empty, some pattern of Allow matches it.
type Filter struct {
	// Globs of which one must match. Left out, everything is allowed.
	Allow []string `yaml:"allow" check:"filled" items:"some"`
	// Globs of which none may match. They win over allow.
	Deny []string `yaml:"deny" check:"filled"`
}

// Allows reports whether name passes. It allocates nothing.
func (f Filter) Allows(name string) bool {
	for _, pattern := range f.Deny {
		if Match(pattern, name) {
			return false
		}
	}
	for _, pattern := range f.Allow {
		if Match(pattern, name) {
			return true
		}
	}
	return len(f.Allow) == 0
}

// Match reports whether a glob matches the whole of name: * stands for any text, ? for one character. It remembers only the last star, so that its work is at most the
// product of the two lengths whatever the pattern is.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			n += runeLen(name[n:])
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			resume += runeLen(name[resume:])
			p, n = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// runeLen returns the bytes of the first character of s, which is not empty.
func runeLen(s string) int {
	_, size := utf8.DecodeRuneInString(s)
	return size
}
