package rpc

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// The fast ways through a string must stop wherever the slow one has to look, at
// each place of a block and for each byte that can stand there.
func TestStringsAreReadAlikeAtEveryOffset(t *testing.T) {
	t.Parallel()
	odd := []string{`"`, `\"`, `\\`, `\n`, `\u00e9`, `\ud83d\ude00`, `\x`, `\`, "\x00", "\x1f", "\x7f", "é", "\xc3", "\xc2\x41", "\xc1\x80", "大", "😀", "\xff", " ", "!", "["}
	for _, piece := range odd {
		for before := range 140 {
			for _, after := range []int{0, 1, 7, 31, 32, 33, 64, 130} {
				readAlike(t, `"`+strings.Repeat("a", before)+piece+strings.Repeat("b", after)+`"`, after)
			}
		}
	}
}

// Runs of escapes and of letters cross the ends of blocks in all ways.
func TestStringsOfManyPiecesAreReadAlike(t *testing.T) {
	t.Parallel()
	pieces := []string{`\\`, `\\`, `\"`, `\n`, `\/`, "é", "é", "ж", "߿", "plain text", "a", "ab", `\u00e9`, "大", `\`, "\xc3", "\x80", "\n"}
	valid := len(pieces) - 4
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var text strings.Builder
		text.WriteByte('"')
		for text.Len() < 200 {
			text.WriteString(pieces[random.IntN(valid)])
		}
		if random.IntN(2) == 0 {
			text.WriteString(pieces[valid+random.IntN(4)])
			text.WriteString(strings.Repeat("b", random.IntN(100)))
		}
		text.WriteByte('"')
		readAlike(t, text.String(), random.IntN(100))
	}
}

// readAlike compares what is made of a string that spaces follow.
func readAlike(t *testing.T, text string, spaces int) {
	t.Helper()
	s := scanner{data: []byte(text + strings.Repeat(" ", spaces))}
	err := s.str()
	end, valid := slowString(text)
	if (err == nil) != valid || valid && s.pos != end {
		t.Fatalf("%q: ends at %d, %v; want %d, valid %v", text, s.pos, err, end, valid)
	}
}

// slowString reads the string at the start of text a character at a time.
func slowString(text string) (end int, valid bool) {
	for i := 1; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			return i + 1, true
		case c < 0x20:
			return 0, false
		case c == '\\' && strings.HasPrefix(text[i:], `\u`):
			if len(text) < i+6 || strings.Trim(text[i+2:i+6], "0123456789abcdefABCDEF") != "" {
				return 0, false
			}
			i += 6
		case c == '\\':
			if i+1 == len(text) || !strings.ContainsRune(`"\/bfnrt`, rune(text[i+1])) {
				return 0, false
			}
			i += 2
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				return 0, false
			}
			i += n
		}
	}
	return 0, false
}
