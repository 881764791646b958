package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxTokens bounds the YAML parser's work, which grows with the square of the tokens of some inputs.
const maxTokens = 1 << 16

// parseYAML reads one YAML document. Duplicate keys stay in the tree; tags, merge keys, directives and further documents are
// refused, since they would make a file mean something else than it shows.
func parseYAML(file string, data []byte) (*node, *Problem) {
	b := &yamlBuilder{file: file, lines: strings.Split(string(data), "\n"), anchors: map[string]*node{}}
	tokens := lexer.Tokenize(string(data))
	if p := b.checkTokens(tokens); p != nil {
		return nil, p
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, b.syntax(err)
	}
	var root *node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		n, p := b.build(doc.Body, 0)
		if p == nil && root != nil {
			p = &Problem{Position: n.at, Message: "a second document begins here", Hint: "keep one document in a file"}
		}
		if p != nil {
			return nil, p
		}
		root = n
	}
	if root == nil {
		root = &node{at: Position{File: file, Line: 1, Column: 1}, size: 1}
	}
	return root, nil
}

// yamlBuilder turns the parser's tree into nodes.
type yamlBuilder struct {
	file    string
	lines   []string
	anchors map[string]*node // finished ones only, so that no node can contain itself
}

// checkTokens refuses what the parser should not be asked to read. It counts what opens a level before the recursive parser does.
func (b *yamlBuilder) checkTokens(tokens token.Tokens) *Problem {
	if len(tokens) > maxTokens {
		return b.problem(tokens[maxTokens], "the file has too many values", "split it")
	}
	depth, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType:
			inLine++
		case token.TagType:
			return b.problem(t, fmt.Sprintf("YAML tags such as %s are not part of this format", t.Value),
				"quote the value if it begins with an exclamation mark")
		case token.MergeKeyType:
			return b.problem(t, "YAML merge keys (<<) are not part of this format", "write the keys out")
		case token.DirectiveType:
			return b.problem(t, "YAML directives are not part of this format", "quote the value if it begins with a percent sign")
		default:
		}
		if depth > maxDepth || inLine > maxDepth {
			return b.tooDeep(t)
		}
	}
	return nil
}

// build turns one value into a node.
func (b *yamlBuilder) build(from ast.Node, depth int) (*node, *Problem) {
	if depth > maxDepth {
		return nil, b.tooDeep(from.GetToken())
	}
	n := &node{at: b.at(from.GetToken()), size: 1}
	switch v := from.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		n.kind, n.text = boolean, v.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = number, v.GetToken().Value
	case *ast.StringNode:
		n.kind, n.text = text, v.Value
	case *ast.LiteralNode:
		n.kind, n.text = text, v.Value.Value
	case *ast.SequenceNode:
		return n, b.buildList(n, v, depth)
	case *ast.MappingNode:
		return n, b.buildMapping(n, v.Values, depth)
	case *ast.MappingValueNode:
		return n, b.buildMapping(n, []*ast.MappingValueNode{v}, depth)
	case *ast.AnchorNode:
		value, p := b.build(v.Value, depth)
		b.anchors[v.Name.GetToken().Value] = value
		return value, p
	case *ast.AliasNode:
		name := v.Value.GetToken()
		value := b.anchors[name.Value]
		if value == nil {
			return nil, b.problem(name, fmt.Sprintf("alias *%s has no anchor &%s before it", name.Value, name.Value), "write the value out")
		}
		return value, nil
	default:
		return nil, b.problem(from.GetToken(), "this kind of YAML value is not part of this format", "")
	}
	return n, nil
}

func (b *yamlBuilder) buildList(n *node, from *ast.SequenceNode, depth int) *Problem {
	n.kind = list
	for _, v := range from.Values {
		item, p := b.build(v, depth+1)
		if p != nil {
			return p
		}
		n.items = append(n.items, item)
		if p := n.grow(item); p != nil {
			return p
		}
	}
	return nil
}

func (b *yamlBuilder) buildMapping(n *node, from []*ast.MappingValueNode, depth int) *Problem {
	n.kind = mapping
	for i, v := range from {
		key := v.Key.GetToken()
		if _, ok := v.Key.(ast.ScalarNode); !ok {
			return b.problem(key, "only a plain word or quoted text can be a key", "")
		}
		if len(key.Value) > maxKey {
			return b.problem(key, fmt.Sprintf("the key is longer than %d bytes", maxKey), "")
		}
		value, p := b.build(v.Value, depth+1)
		if p != nil {
			return p
		}
		if value.kind == null {
			value = &node{at: b.at(key), size: 1} // nothing has no place of its own
		}
		if i == 0 && n.at.compare(b.at(key)) > 0 {
			n.at = b.at(key) // a block mapping begins at its first key, not at the colon behind it
		}
		n.members = append(n.members, member{key: key.Value, at: b.at(key), value: value})
		if p := n.grow(value); p != nil {
			return p
		}
	}
	return nil
}

// grow adds the size of a child, which an alias may have added before.
func (n *node) grow(child *node) *Problem {
	n.size += child.size
	if n.size > maxNodes {
		message := fmt.Sprintf("the file has more than %d values, aliases counted each time", maxNodes)
		return &Problem{Position: n.at, Message: message, Hint: "split it"}
	}
	return nil
}

// syntax turns the parser's error into a problem. Two mistakes are common enough for advice.
func (b *yamlBuilder) syntax(err error) *Problem {
	var se *yaml.SyntaxError
	if !errors.As(err, &se) {
		return b.problem(nil, "the file is not YAML: "+err.Error(), "")
	}
	p := b.problem(se.Token, "the file is not YAML: "+se.Message, "")
	switch line := b.lines[p.Line-1]; {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		p.Hint = "indent with spaces, not with tabs"
	case strings.Contains(line, "${"):
		p.Hint = `put quotes around a value with ${…} when it stands between { } or [ ]`
	}
	return p
}

func (b *yamlBuilder) tooDeep(t *token.Token) *Problem {
	return b.problem(t, fmt.Sprintf("more than %d lists and mappings inside each other", maxDepth), "")
}

func (b *yamlBuilder) problem(t *token.Token, message, hint string) *Problem {
	return &Problem{Position: b.at(t), Message: message, Hint: hint}
}

// at returns the position of a token. The parser's positions can lie a little behind the end of a line or of the file; these are
// moved to the end.
func (b *yamlBuilder) at(t *token.Token) Position {
	at := Position{File: b.file, Line: 1, Column: 1}
	if t != nil && t.Position != nil {
		at.Line = min(max(t.Position.Line, 1), len(b.lines))
		at.Column = min(max(t.Position.Column, 1), utf8.RuneCountInString(b.lines[at.Line-1])+1)
	}
	return at
}
