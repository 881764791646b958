package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// parseJSON reads JSON as MCP clients write it: comments (// and /* */) and a comma behind the last element are allowed.
// Everything else is as strict as RFC 8259. Duplicate keys stay in the tree.
func parseJSON(file string, data []byte) (root *node, problem *Problem) {
	p := &jsonParser{text: string(data), at: Position{File: file, Line: 1, Column: 1}}
	p.space()
	if p.problem == nil && p.text == "" {
		return &node{at: p.at, size: 1}, nil
	}
	root = p.value(0)
	p.space()
	if p.problem == nil && p.text != "" {
		p.fail("there is more text after the end of the value")
	}
	return root, p.problem
}

// jsonParser reads from the front of text. After the first problem it takes nothing any more.
type jsonParser struct {
	text    string // what is not yet read
	at      Position
	nodes   int
	problem *Problem
}

// value reads one value, at which text begins.
func (p *jsonParser) value(depth int) *node {
	n := &node{at: p.at, size: 1}
	if p.nodes++; p.nodes > maxNodes {
		p.fail(fmt.Sprintf("the file has more than %d values", maxNodes))
	}
	if depth > maxDepth {
		p.fail(fmt.Sprintf("more than %d lists and mappings inside each other", maxDepth))
	}
	if p.problem != nil || p.text == "" {
		p.fail("a value is missing")
		return n
	}
	switch c := p.text[0]; {
	case c == '{':
		n.kind = mapping
		p.elements('}', func() { p.member(n, depth) })
	case c == '[':
		n.kind = list
		p.elements(']', func() {
			item := p.value(depth + 1)
			n.items, n.size = append(n.items, item), n.size+item.size
		})
	case c == '"':
		n.kind, n.text = text, p.quoted()
	case c == '-' || c >= '0' && c <= '9':
		n.kind, n.text = number, p.number()
	default:
		p.word(n)
	}
	return n
}

// elements reads what stands between brackets, separated by commas. Each call of one reads an element.
func (p *jsonParser) elements(end byte, one func()) {
	p.take(1)
	for p.problem == nil {
		p.space()
		if p.next(end) {
			return
		}
		one()
		p.space()
		if p.next(end) {
			return
		}
		if !p.next(',') {
			p.fail(fmt.Sprintf("expected a comma or %c", end))
		}
	}
}

// member reads "key": value into n.
func (p *jsonParser) member(n *node, depth int) {
	at := p.at
	if !strings.HasPrefix(p.text, `"`) {
		p.fail("expected a key in double quotes")
		return
	}
	key := p.quoted()
	if len(key) > maxKey {
		p.fail(fmt.Sprintf("the key is longer than %d bytes", maxKey))
	}
	p.space()
	if !p.next(':') {
		p.fail("expected a colon after the key")
		return
	}
	p.space()
	value := p.value(depth + 1)
	n.members, n.size = append(n.members, member{key: key, at: at, value: value}), n.size+value.size
}

// quoted reads a string with its quotes.
func (p *jsonParser) quoted() string {
	end := 1
	for end < len(p.text) && p.text[end] != '"' && p.text[end] != '\n' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.text) || p.text[end] != '"' {
		p.fail("the text is not closed")
		return ""
	}
	var s string
	if err := json.Unmarshal([]byte(p.text[:end+1]), &s); err != nil {
		p.fail("the text has an invalid escape or control character")
		return ""
	}
	p.take(end + 1)
	return s
}

// number reads a number and returns its source.
func (p *jsonParser) number() string {
	end := strings.IndexFunc(p.text, func(r rune) bool { return !strings.ContainsRune("+-.eE0123456789", r) })
	if end < 0 {
		end = len(p.text)
	}
	source := p.text[:end]
	if !json.Valid([]byte(source)) {
		p.fail("this is no number")
		return ""
	}
	p.take(end)
	return source
}

// word reads true, false or null.
func (p *jsonParser) word(n *node) {
	for _, w := range []string{"true", "false", "null"} {
		if !strings.HasPrefix(p.text, w) {
			continue
		}
		if w != "null" {
			n.kind, n.text = boolean, w
		}
		p.take(len(w))
		return
	}
	p.fail("expected a value: text in double quotes, a number, true, false, null, [ or {")
}

// space skips white space and comments.
func (p *jsonParser) space() {
	for p.problem == nil {
		p.take(len(p.text) - len(strings.TrimLeft(p.text, " \t\r\n")))
		switch {
		case strings.HasPrefix(p.text, "//"):
			end := strings.IndexByte(p.text, '\n')
			if end < 0 {
				end = len(p.text)
			}
			p.take(end)
		case strings.HasPrefix(p.text, "/*"):
			end := strings.Index(p.text[2:], "*/")
			if end < 0 {
				p.fail("the comment is not closed")
				return
			}
			p.take(end + 4)
		default:
			return
		}
	}
}

// next takes c if text begins with it.
func (p *jsonParser) next(c byte) bool {
	if p.problem != nil || p.text == "" || p.text[0] != c {
		return false
	}
	p.take(1)
	return true
}

// take moves on by n bytes and counts lines and columns.
func (p *jsonParser) take(n int) {
	taken := p.text[:n]
	p.text = p.text[n:]
	if last := strings.LastIndexByte(taken, '\n'); last >= 0 {
		p.at.Line += strings.Count(taken, "\n")
		p.at.Column = 1
		taken = taken[last+1:]
	}
	p.at.Column += utf8.RuneCountInString(taken)
}

// fail keeps the first problem.
func (p *jsonParser) fail(message string) {
	if p.problem == nil {
		p.problem = &Problem{Position: p.at, Message: "the file is not JSON: " + message}
	}
}
