package config

import (
	"fmt"
	"strings"
)

// text reads a value that must be text. It returns nothing when the server was switched off for it.
func (s *clientServer) text(n *node, path string, check func(string) error) string {
	if n.kind != text {
		s.disable(n.at, path, fmt.Sprintf("%s must be text, not %s", lastKey(path), n.kind), "")
		return ""
	}
	value, _ := s.scalar(n, path, false, check)
	return value
}

// scalar reads text, or a number or truth value as its own text.
func (s *clientServer) scalar(n *node, path string, secret bool, check func(string) error) (string, bool) {
	if n.kind != text && n.kind != number && n.kind != boolean {
		s.disable(n.at, path, fmt.Sprintf("%s must be text, not %s", lastKey(path), n.kind), "")
		return "", false
	}
	value, ok := s.expand(n, path, secret)
	if !ok || s.template && strings.Contains(value, "${") {
		return value, ok // a template is checked when it is loaded again
	}
	if err := check(value); err != nil {
		s.disable(n.at, path, lastKey(path)+" "+err.Error(), "")
		return "", false
	}
	return value, true
}

// list reads a list of values.
func (s *clientServer) list(n *node, path string) []string {
	if n.kind != list {
		s.disable(n.at, path, fmt.Sprintf("%s must be a list, not %s", lastKey(path), n.kind), "")
		return nil
	}
	values := make([]string, 0, len(n.items))
	for i, item := range n.items {
		if value, ok := s.scalar(item, fmt.Sprintf("%s[%d]", path, i), false, checkNoNUL); ok {
			values = append(values, value)
		}
	}
	return values
}

// entries goes over a mapping. Of two equal keys the last holds.
func (s *clientServer) entries(n *node, path string, check func(string) error, one func(m member, field string)) {
	if n.kind != mapping {
		s.disable(n.at, path, fmt.Sprintf("%s must be a mapping, not %s", lastKey(path), n.kind), "")
		return
	}
	members, _ := n.settle()
	for _, m := range members {
		field := join(path, m.key)
		if err := check(m.key); err != nil {
			s.disable(m.at, field, fmt.Sprintf("the key %q %v", m.key, err), "")
		} else if m.value.kind != null {
			one(m, field)
		}
	}
}

// disable switches the server off and says why.
func (s *clientServer) disable(at Position, path, reason, hint string) {
	s.findings.disable(&s.upstream, at, path, reason, hint)
}
