package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Lines and columns count from 1, columns in characters. The zero Position is no place.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column, the file alone when the line is not known, or nothing.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// compare orders positions by file, line and column.
func (p Position) compare(q Position) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Problem is one thing that is wrong with a configuration: what, where, and what to do about it.
type Problem struct {
	Position
	// Field is the path to the value, such as upstreams.github.headers.Authorization.
	Field string
	// Message says what is wrong, in lower case, without secrets.
	Message string
	// Hint says what to do; it may be empty.
	Hint string
}

// Error returns the message, and below it the place and the remedy, each on a line of its own.
func (p Problem) Error() string {
	text := p.Message
	if place := strings.TrimSpace(p.Position.String() + " " + p.Field); place != "" {
		text += "\n  at " + place
	}
	if p.Hint != "" {
		text += "\n  fix: " + p.Hint
	}
	return text
}

// Problems are all problems of a configuration at once, sorted by position. It is an error when it is not empty.
type Problems []Problem

// Error returns the problems one below the other.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "\n")
}

// asError returns the problems in order, or nil when there are none.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}

// sort orders by position; what was found first at one position stays first.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.compare(b.Position) })
}
