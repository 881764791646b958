package mcp

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// maxParamDepth bounds how deep x-mcp-header annotations are looked for.
const maxParamDepth = 32

// ParamHeaders finds the arguments that a tool's input schema wants mirrored in
// Mcp-Param headers (SEP-2243). An error means that the annotations are invalid, and
// with them the tool's definition on HTTP.
func ParamHeaders(schema json.RawMessage) ([]rpc.ParamHeader, error) {
	if !strings.Contains(string(schema), `x-mcp-header`) {
		return nil, nil
	}
	c := paramCollector{seen: map[string]bool{}}
	root, err := rpc.ReadObject(schema)
	if err != nil {
		return nil, err
	}
	if err := c.properties(root, nil); err != nil {
		return nil, err
	}
	if n := countAnnotations(schema); n != len(c.found) {
		return nil, fmt.Errorf("x-mcp-header stands where it cannot be reached through properties alone")
	}
	return c.found, nil
}

type paramCollector struct {
	found []rpc.ParamHeader
	seen  map[string]bool
}

func (c *paramCollector) properties(schema rpc.Object, path []string) (err error) {
	text, ok := schema.Get("properties")
	if !ok || text[0] != '{' || len(path) >= maxParamDepth {
		return nil
	}
	props, err := rpc.ReadObject(text)
	if err != nil {
		return err
	}
	props.Each(func(name string, value json.RawMessage) bool {
		if value[0] != '{' {
			return true
		}
		err = c.property(append(path[:len(path):len(path)], name), value)
		return err == nil
	})
	return err
}

func (c *paramCollector) property(path []string, text json.RawMessage) error {
	prop, err := rpc.ReadObject(text)
	if err != nil {
		return err
	}
	if mark, ok := prop.Get("x-mcp-header"); ok {
		name, err := c.check(prop, mark)
		if err != nil {
			return fmt.Errorf("property %s: %w", rpc.Excerpt(strings.Join(path, ".")), err)
		}
		c.found = append(c.found, rpc.ParamHeader{Name: name, Path: path})
	}
	return c.properties(prop, path)
}

// check returns the canonical header name of one annotation.
func (c *paramCollector) check(prop rpc.Object, mark json.RawMessage) (string, error) {
	var name string
	if err := json.Unmarshal(mark, &name); err != nil || !isToken(name) {
		return "", fmt.Errorf("x-mcp-header must be a non-empty token")
	}
	switch kind, _ := prop.Text("type"); kind {
	case "string", "integer", "boolean":
	default:
		return "", fmt.Errorf("x-mcp-header may stand on a string, integer or boolean only")
	}
	canonical := textproto.CanonicalMIMEHeaderKey(HeaderParamPrefix + name)
	if c.seen[strings.ToLower(name)] {
		return "", fmt.Errorf("x-mcp-header %q stands twice", name)
	}
	c.seen[strings.ToLower(name)] = true
	return canonical, nil
}

// countAnnotations counts the x-mcp-header members of a schema at any depth. What
// stands inside values that are no schemas (default, enum, const, examples) is data.
func countAnnotations(text json.RawMessage) int {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '[':
		items, err := rpc.Elements(text)
		n := 0
		for _, item := range items {
			n += countAnnotations(item)
		}
		if err != nil {
			return -1
		}
		return n
	case text[0] == '{':
		return countIn(text)
	}
	return 0
}

func countIn(text json.RawMessage) int {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return -1
	}
	n := 0
	o.Each(func(name string, value json.RawMessage) bool {
		switch {
		case name == "x-mcp-header" && value[0] == '"':
			n++
		case name == "default" || name == "enum" || name == "const" || name == "examples":
		default:
			n += countAnnotations(value)
		}
		return true
	})
	return n
}

// CheckParams compares the Mcp-Param headers of a tools/call with its arguments.
// Headers no annotation asks for are not looked at.
func CheckParams(h http.Header, m *rpc.Message, params []rpc.ParamHeader) error {
	for _, p := range params {
		arg, err := argument(m, p.Path)
		if err != nil {
			return err
		}
		want, mirrored := primitive(arg)
		got := h[p.Name]
		switch {
		case arg == nil && len(got) == 0:
		case arg == nil:
			return mismatch(p.Name, "stands for an argument that is absent or null")
		case len(got) != 1:
			return mismatch(p.Name, "is missing or repeated")
		case !mirrored:
			return mismatch(p.Name, "stands for an argument that is no string, integer or boolean")
		default:
			if text, ok := DecodeHeader(got[0]); !ok || !sameValue(text, want, arg) {
				return mismatch(p.Name, "is "+rpc.Excerpt(got[0])+" but the body says "+rpc.Excerpt(want))
			}
		}
	}
	return nil
}

// EachParam calls add with the name and the encoded value of each Mcp-Param header
// that a tools/call needs.
func EachParam(m *rpc.Message, params []rpc.ParamHeader, add func(name, value string)) error {
	for _, p := range params {
		arg, err := argument(m, p.Path)
		if err != nil {
			return err
		}
		if value, ok := primitive(arg); ok {
			add(p.Name, EncodeHeader(value))
		}
	}
	return nil
}

// argument returns the text of the argument at path; nil if it is absent or null.
func argument(m *rpc.Message, path []string) (json.RawMessage, error) {
	text, ok := m.Get("arguments")
	for _, name := range path {
		if !ok || text[0] != '{' {
			return nil, nil
		}
		o, err := rpc.ReadObject(text)
		if err != nil {
			return nil, rpc.Errorf(rpc.InvalidRequest, "params.arguments: %w", err)
		}
		text, ok = o.Get(name)
	}
	if !ok || string(text) == "null" {
		return nil, nil
	}
	return text, nil
}

// primitive returns the header text of a string, an integer or a boolean.
func primitive(arg json.RawMessage) (string, bool) {
	switch {
	case len(arg) == 0 || arg[0] == '{' || arg[0] == '[':
		return "", false
	case arg[0] == '"':
		s, err := rpc.Unquote(arg)
		return s, err == nil
	case arg[0] == 't' || arg[0] == 'f':
		return string(arg), true
	}
	n, ok := integer(string(arg))
	return strconv.FormatInt(n, 10), ok
}

// sameValue compares a decoded header with an argument: numbers by value.
func sameValue(got, want string, arg json.RawMessage) bool {
	if got == want {
		return true
	}
	if arg[0] == '-' || '0' <= arg[0] && arg[0] <= '9' {
		g, ok := integer(got)
		return ok && strconv.FormatInt(g, 10) == want
	}
	return false
}

// integer reads a number that is whole and within what every reader holds exactly.
func integer(s string) (int64, bool) {
	const safe = 1<<53 - 1
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > safe {
		return 0, false
	}
	return int64(f), true
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
