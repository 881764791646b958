package pin

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/headgate/headgate/rpc"
)

// maxFindings bounds what is said of one definition.
const maxFindings = 8

// Finding is something in a definition that people may not see and models read, or that looks like something else. It
// proves nothing: whether a text means harm is for a person to say.
type Finding struct {
	Where string `json:"where"` // the member, such as inputSchema.properties.path.description
	What  string `json:"what"`
}

// Scan searches the text of a definition for what does not show: invisible and direction-changing characters, tag
// characters, control characters, and comments of HTML. The name is searched for letters that look like others.
func Scan(name string, definition []byte) []Finding {
	var found []Finding
	if what := foreign(name); what != "" {
		found = append(found, Finding{"name", what})
	}
	eachText(definition, func(path, said string) bool {
		for _, what := range hidden(said) {
			found = append(found, Finding{path, what})
		}
		return len(found) < maxFindings
	})
	return found[:min(len(found), maxFindings)]
}

// hidden names what a text has that does not show, each kind once.
func hidden(text string) []string {
	var what []string
	seen := map[string]bool{}
	var before rune
	for at, r := range text {
		kind := kindOf(r)
		if kind == "" || kind == joined && isPicture(before) && isPicture(after(text[at:])) {
			before = r
			continue
		}
		before = r
		if !seen[kind] {
			seen[kind] = true
			what = append(what, fmt.Sprintf("%s (U+%04X)", kind, r))
		}
	}
	if strings.Contains(text, "<!--") {
		what = append(what, "HTML comment")
	}
	return what
}

// The kinds of characters that do not show.
const (
	joined    = "zero-width character"
	direction = "character that changes the writing direction"
	tag       = "tag character"
	control   = "control character"
)

// kindOf names what a character is that does not show; nothing for one that does.
func kindOf(r rune) string {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return ""
	case unicode.Is(unicode.Cc, r):
		return control
	case 0xe0000 <= r && r <= 0xe0fff: // tags, and selectors of variants that no font has
		return tag
	case r == 0x061c, 0x200e <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return direction
	case unicode.Is(unicode.Cf, r), r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0,
		r == 0x2028, r == 0x2029:
		return joined
	}
	return ""
}

// isPicture reports whether a character may be part of a picture that is written with several, joined by U+200D.
func isPicture(r rune) bool {
	return r >= 0x1f000 && r < 0x20000 || 0x2190 <= r && r <= 0x2bff || r == 0xfe0f
}

// after returns the character behind the first one.
func after(text string) rune {
	for i, r := range text {
		if i > 0 {
			return r
		}
	}
	return 0
}

// lookalikes are letters of other scripts that look like those of names (Unicode Technical Standard #39 has all).
var lookalikes = map[rune]rune{
	'а': 'a', 'в': 'b', 'е': 'e', 'к': 'k', 'м': 'm', 'н': 'h', 'о': 'o', 'р': 'p', 'с': 'c', 'т': 't', 'у': 'y', 'х': 'x', 'і': 'i', 'ј': 'j',
	'ѕ': 's', 'ԁ': 'd', 'һ': 'h', 'ԛ': 'q', 'ԝ': 'w', 'А': 'A', 'В': 'B', 'Е': 'E', 'К': 'K', 'М': 'M', 'Н': 'H', 'О': 'O', 'Р': 'P', 'С': 'C',
	'Т': 'T', 'Х': 'X', 'І': 'I', 'Ј': 'J', 'Ѕ': 'S', 'α': 'a', 'ο': 'o', 'ρ': 'p', 'ν': 'v', 'ι': 'i', 'Α': 'A', 'Β': 'B', 'Ε': 'E', 'Η': 'H',
	'Ι': 'I', 'Κ': 'K', 'Μ': 'M', 'Ν': 'N', 'Ο': 'O', 'Ρ': 'P', 'Τ': 'T', 'Χ': 'X', 'Ζ': 'Z', 'ɑ': 'a', 'ɡ': 'g', 'ı': 'i', 'ⅼ': 'l', '‐': '-',
	'–': '-', '−': '-', '＿': '_',
}

// foreign says that a name has characters which are not those of names (MCP 2025-11-25, Tools, Tool Names), and what it
// may be taken for.
func foreign(name string) string {
	var first rune
	plain := strings.Map(func(r rune) rune {
		if r < 0x80 {
			return r
		}
		if first == 0 {
			first = r
		}
		if 0xff01 <= r && r <= 0xff5e { // full width
			return r - 0xff01 + '!'
		}
		if l, ok := lookalikes[r]; ok {
			return l
		}
		if kindOf(r) != "" {
			return -1
		}
		return r
	}, name)
	if first == 0 {
		return ""
	}
	if strings.IndexFunc(plain, func(r rune) bool { return r >= 0x80 }) < 0 {
		return fmt.Sprintf("a character that is none of names (U+%04X); looks like %s", first, rpc.Excerpt(plain))
	}
	return fmt.Sprintf("a character that is none of names (U+%04X)", first)
}
