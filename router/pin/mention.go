package pin

import (
	"slices"
	"strings"
	"unicode"

	"github.com/headgate/headgate/rpc"
)

// Names are what upstreams call their tools: the upstreams by name. A tool that two upstreams have is nobody's in
// particular.
type Names map[string][]string

// NamesOf collects the names of tools, the upstream's own and with the upstream's name before them.
func NamesOf(pins Pins, changes []Change) Names {
	names := Names{}
	for upstream, kinds := range pins {
		for name := range kinds[Tools] {
			names.add(upstream, name)
		}
	}
	for _, c := range changes {
		if c.Kind == Tools {
			names.add(c.Upstream, c.Name)
		}
	}
	return names
}

func (n Names) add(upstream, name string) {
	for _, form := range []string{name, upstream + "__" + name} {
		if !slices.Contains(n[form], upstream) {
			n[form] = append(n[form], upstream)
		}
	}
}

// Mentions searches the text of an upstream's definition for tools of other upstreams: a server that tells models how to
// use another's tools has them do what nobody who reads that other one expects.
func (n Names) Mentions(upstream string, definition []byte) []Finding {
	var found []Finding
	eachText(definition, func(path, said string) bool {
		for _, w := range words(said) {
			owners := n[w.text]
			if len(owners) == 0 || slices.Contains(owners, upstream) || !w.telling() {
				continue
			}
			found = append(found, Finding{path, "names the tool " + rpc.Excerpt(w.text) + " of the upstream " + owners[0]})
		}
		return len(found) < maxFindings
	})
	return found[:min(len(found), maxFindings)]
}

// word is a part of a text that could be a name.
type word struct {
	text   string
	quoted bool // or called a tool
}

// telling reports whether a word is meant as a name: it is no word of a language, or marked as a name.
func (w word) telling() bool {
	if w.quoted || strings.ContainsAny(w.text, "_-./0123456789") {
		return true
	}
	return strings.IndexFunc(w.text[1:], unicode.IsUpper) >= 0 && strings.IndexFunc(w.text, unicode.IsLower) >= 0
}

// words takes a text apart at whatever names do not have.
func words(text string) []word {
	var out []word
	for rest := text; ; {
		from := strings.IndexFunc(rest, inName)
		if from < 0 {
			return out
		}
		to := from + strings.IndexFunc(rest[from:]+" ", func(r rune) bool { return !inName(r) })
		name := strings.Trim(rest[from:to], ".-/")
		behind := strings.TrimLeft(rest[to:], " ")
		quoted := from > 0 && strings.IndexByte("\"'`", rest[from-1]) >= 0 && to < len(rest) && strings.IndexByte("\"'`", rest[to]) >= 0
		called := strings.HasPrefix(behind, "tool") || len(out) > 0 && strings.EqualFold(out[len(out)-1].text, "tool")
		if name != "" {
			out = append(out, word{name, quoted || called})
		}
		rest = rest[to:]
	}
}

// inName reports whether names of tools may have a character (MCP 2025-11-25, Tools, Tool Names).
func inName(r rune) bool {
	return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./", r))
}
