package config

import (
	"fmt"
	"strings"
)

// maxNesting bounds defaults inside defaults: ${A:-${B:-…}}.
const maxNesting = 8

// template is a string value with its variables taken apart: ${NAME}, ${NAME:-default}, and $$ for a dollar sign.
type template []segment

// segment is plain text or, when ref is set, a variable.
type segment struct {
	text string
	ref  *reference
}

// reference is ${name} or ${name:-fallback}. Which names there are depends on the kind of file.
type reference struct {
	name     string
	fallback template
	optional bool // has a fallback, even an empty one
}

// parseTemplate takes a value apart. It returns the names of bare $VAR too, which stay text: a reader may have meant them as variables.
// The error says what is malformed; such a value must go nowhere.
func parseTemplate(value string) (t template, bare []string, err error) {
	t, _, bare, err = parseSegments(value, 0)
	return t, bare, err
}

// parseSegments reads up to the end, or inside of a default (depth > 0) up to its closing brace.
func parseSegments(value string, depth int) (t template, rest string, bare []string, err error) {
	var plain strings.Builder
	for value != "" {
		stop := "$"
		if depth > 0 {
			stop = "$}"
		}
		i := strings.IndexAny(value, stop)
		if i < 0 {
			i = len(value)
		}
		plain.WriteString(value[:i])
		value = value[i:]
		switch {
		case value == "":
		case value[0] == '}':
			return append(t, segment{text: plain.String()}), value, bare, nil
		case strings.HasPrefix(value, "$$"):
			plain.WriteByte('$')
			value = value[2:]
		case strings.HasPrefix(value, "${"):
			var ref *reference
			var more []string
			if ref, value, more, err = parseReference(value, depth); err != nil {
				return nil, "", nil, err
			}
			t = append(t, segment{text: plain.String()}, segment{ref: ref})
			bare = append(bare, more...)
			plain.Reset()
		default:
			if name := leadingName(value[1:]); name != "" {
				bare = append(bare, name)
			}
			plain.WriteByte('$')
			value = value[1:]
		}
	}
	return append(t, segment{text: plain.String()}), "", bare, nil
}

// parseReference reads ${…}, at which value begins.
func parseReference(value string, depth int) (ref *reference, rest string, bare []string, err error) {
	if depth == maxNesting {
		return nil, "", nil, fmt.Errorf("has more than %d defaults inside each other", maxNesting)
	}
	end := strings.IndexAny(value[2:], "}$")
	head := value
	if end >= 0 {
		head = value[:2+end]
	}
	if name, _, ok := strings.Cut(head[2:], ":-"); ok {
		ref = &reference{name: name, optional: true}
		ref.fallback, rest, bare, err = parseSegments(value[2+len(name)+2:], depth+1)
		if err != nil {
			return nil, "", nil, err
		}
	} else {
		ref, rest = &reference{name: head[2:]}, value[len(head):]
	}
	if !strings.HasPrefix(rest, "}") {
		return nil, "", nil, fmt.Errorf("has a ${ without }")
	}
	return ref, rest[1:], bare, nil
}

// leadingName returns the variable name at the beginning of s, or nothing.
func leadingName(s string) string {
	end := 0
	for end < len(s) && isNameByte(s[end], end == 0) {
		end++
	}
	return s[:end]
}

// isVariableName reports whether s can name an environment variable in a file.
func isVariableName(s string) bool { return s != "" && leadingName(s) == s }

func isNameByte(c byte, first bool) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || !first && c >= '0' && c <= '9'
}

// hasVariables reports whether anything depends on the surroundings.
func (t template) hasVariables() bool {
	for _, s := range t {
		if s.ref != nil {
			return true
		}
	}
	return false
}

// resolver gives the value of a variable. ok is false when it is not set; an error means that the name itself means nothing.
type resolver func(name string) (value string, ok bool, err error)

// evaluation is what a template came to.
type evaluation struct {
	text  string
	unset []string // variables without value and default: text must not be used
	empty []string // variables without default that are set to nothing
}

// evaluate puts the values in. As in a shell, a default also stands in for a variable that is set to nothing. The result is bounded like a
// file, since a value may be put in many times.
func (t template) evaluate(resolve resolver) (evaluation, error) {
	var e evaluation
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.text)
		if b.Len() > maxFile {
			return evaluation{}, fmt.Errorf("is longer than %s", Size(maxFile))
		}
		if s.ref == nil {
			continue
		}
		value, ok, err := resolve(s.ref.name)
		if err != nil {
			return evaluation{}, err
		}
		switch {
		case value != "":
			b.WriteString(value)
		case s.ref.optional:
			inner, err := s.ref.fallback.evaluate(resolve)
			if err != nil {
				return evaluation{}, err
			}
			b.WriteString(inner.text)
			e.unset, e.empty = append(e.unset, inner.unset...), append(e.empty, inner.empty...)
		case ok:
			e.empty = append(e.empty, s.ref.name)
		default:
			e.unset = append(e.unset, s.ref.name)
		}
	}
	e.text = b.String()
	return e, nil
}

// rewrite returns the template in the notation of our own files. Each variable is replaced by what rename returns for it: text, or a
// variable, whose default holds where the template itself has none.
func (t template) rewrite(rename func(name string) (segment, error)) (string, error) {
	var b strings.Builder
	for _, s := range t {
		b.WriteString(escape(s.text))
		if s.ref == nil {
			continue
		}
		to, err := rename(s.ref.name)
		if err != nil {
			return "", err
		}
		b.WriteString(escape(to.text))
		if to.ref == nil {
			continue
		}
		b.WriteString("${" + to.ref.name)
		switch {
		case s.ref.optional:
			inner, err := s.ref.fallback.rewrite(rename)
			if err != nil {
				return "", err
			}
			b.WriteString(":-" + inner)
		case to.ref.optional:
			b.WriteString(":-" + escape(to.ref.fallback[0].text))
		}
		b.WriteByte('}')
	}
	return b.String(), nil
}

// escape returns text so that expanding it gives it back.
func escape(text string) string { return strings.ReplaceAll(text, "$", "$$") }
