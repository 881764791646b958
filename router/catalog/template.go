package catalog

import (
	"cmp"
	"regexp"
	"strings"
)

// Bounds of a URI template. What exceeds them is listed, but nothing is routed by it.
const (
	maxTemplate    = 1 << 10
	maxExpressions = 16
)

// pattern tells which URIs a URI template may have been expanded to.
type pattern struct {
	head     string // what all of them begin with
	match    *regexp.Regexp
	literals int // bytes that are the same in all of them
	open     int // expressions that match anything
}

// variable says what the value of one variable may look like, by the operator of
// its expression (RFC 6570, section 2.2). Servers are not strict about what they
// take, so neither is this.
var variable = map[byte]string{
	0:   `[^/?#]+`,
	'+': `.+`,
	'#': `(?:#.*)?`,
	'.': `(?:\.[^/?#]*)?`,
	'/': `(?:/[^/?#]*)?`,
	';': `(?:;[^/?#]*)?`,
	'?': `(?:\?[^#]*)?`,
	'&': `(?:&[^#]*)?`,
}

// compile reads a URI template. It returns nil for text that is none, or that is
// too long to be matched again and again.
func compile(template string) *pattern {
	if len(template) > maxTemplate {
		return nil
	}
	p := &pattern{}
	var text strings.Builder
	text.WriteString(`(?s)\A`)
	for n := 0; ; n++ {
		literal, rest, more := strings.Cut(template, "{")
		if n == 0 {
			p.head = literal
		}
		p.literals += len(literal)
		text.WriteString(regexp.QuoteMeta(literal))
		if !more {
			break
		}
		expression, tail, closed := strings.Cut(rest, "}")
		if !closed || expression == "" || n == maxExpressions {
			return nil
		}
		p.expression(&text, expression)
		template = tail
	}
	text.WriteString(`\z`)
	var err error
	if p.match, err = regexp.Compile(text.String()); err != nil {
		return nil
	}
	return p
}

func (p *pattern) expression(text *strings.Builder, expression string) {
	operator := expression[0]
	one, ok := variable[operator]
	if !ok {
		operator, one = 0, variable[0]
	}
	switch operator {
	case '+', '#':
		p.open++
		text.WriteString(one)
	case '/', '.', ';': // each variable brings its own separator, and an exploded one several
		if strings.Contains(expression, "*") {
			text.WriteString("(?:" + one + ")*")
			return
		}
		for range min(1+strings.Count(expression, ","), maxExpressions) {
			text.WriteString(one)
		}
	default:
		text.WriteString(one)
	}
}

// matches reports whether the template may have been expanded to a URI.
func (p *pattern) matches(uri string) bool {
	return strings.HasPrefix(uri, p.head) && p.match.MatchString(uri)
}

// compare orders the more specific template first.
func (p *pattern) compare(other *pattern) int {
	return cmp.Or(cmp.Compare(other.literals, p.literals), cmp.Compare(p.open, other.open))
}
