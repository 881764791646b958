package telemetry

import "strings"

// plain reports whether text is certainly one that [clean] leaves as it is, as most of what is logged is: it holds nothing
// that a secret could begin with. It looks at each byte once.
func plain(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	run := 0 // of what random words are made of
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return false
		}
		if run++; !inRandom(c) {
			run = 0
		}
		switch {
		case run >= shortestRandom:
			return false
		case c == ' ' && endsScheme(s[:i]):
			return false
		case (c == '=' || c == ':') && endsNamed(s[:i]):
			return false
		case c == ':' && strings.HasPrefix(s[i:], "://") && strings.IndexByte(s[i:], '@') >= 0:
			return false
		case isLetter(c) && (i == 0 || !inWord(s[i-1])) && beginsSecret(s[i:]):
			return false
		}
	}
	return true
}

// shortestRandom is the length of the shortest word that may be random.
const shortestRandom = 24

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func inWord(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' || c == '_' }

func inRandom(c byte) bool { return inWord(c) || c == '+' || c == '=' || c == '-' }

// endsScheme reports whether text ends in a scheme of authentication.
func endsScheme(s string) bool {
	return endsIn(s, "bearer") || endsIn(s, "basic") || endsIn(s, "dpop")
}

// endsNamed reports whether the name of a secret may end here: by its last letters, before the s of several and before quotes.
func endsNamed(s string) bool {
	s = strings.TrimRight(s, `"'\`)
	if endsIn(s, "s") {
		s = s[:len(s)-1]
	}
	if len(s) < 3 {
		return false
	}
	switch string([]byte{s[len(s)-3] | 0x20, s[len(s)-2] | 0x20, s[len(s)-1] | 0x20}) {
	case "key", "ion", "kie", "ial", "ase", "swd", "ord", "pwd", "ret", "ure", "ken":
		return true
	}
	return false
}

// endsIn reports whether text ends in a word of small letters, in whatever case.
func endsIn(s, word string) bool {
	return len(s) >= len(word) && strings.EqualFold(s[len(s)-len(word):], word)
}

// beginsSecret reports whether what issuers put before their credentials may begin here.
func beginsSecret(s string) bool {
	if len(s) < 3 {
		return false
	}
	switch s[:3] {
	case "AIz", "AKI", "ASI", "ghp", "gho", "ghu", "ghs", "ghr", "git", "glp", "hf_", "hgk", "lin", "npm", "ntn", "whs", "xox", "ya2", "eyJ",
		"pk-", "pk_", "rk-", "rk_", "sk-", "sk_":
		return true
	}
	return false
}
