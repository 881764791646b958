package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// annotationKey marks the properties of an input schema that headers mirror.
const annotationKey = "x-mcp-header"

// Bounds of annotated schemas. Each level is read again with the one above it, and
// each annotation costs a look into the arguments of every call.
const (
	maxSchemaDepth = 64
	maxAnnotations = 64
)

var (
	errUnreachable = errors.New(annotationKey + " stands where it cannot be reached through properties alone")
	errTooMany     = fmt.Errorf("more than %d properties have %s", maxAnnotations, annotationKey)
	errTooDeep     = fmt.Errorf("schemas with %s may be nested %d deep", annotationKey, maxSchemaDepth)
)

// Keywords of JSON Schema that hold schemas: one or a list of them, or an object of
// them by name. What other keywords hold is data (JSON Schema 2020-12, section 10; the
// older drafts' keywords are included).
var (
	schemaKeywords = []string{
		"additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "contentSchema", "else", "if", "items", "not", "oneOf",
		"prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
	}
	mapKeywords = []string{"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"}
)

// ParamHeaders finds the arguments that a tool's input schema wants mirrored in
// Mcp-Param headers (SEP-2243). An error means that the annotations are invalid, and
// with them the tool's definition on HTTP. So are more than 64 annotations, and a
// schema that has some and is nested more than 64 deep.
func ParamHeaders(schema json.RawMessage) ([]rpc.ParamHeader, error) {
	if !bytes.Contains(schema, []byte(annotationKey)) && !bytes.Contains(schema, []byte(`\u`)) {
		return nil, nil
	}
	c := annotations{seen: map[string]bool{}}
	if err := c.schema(schema, nil, 0); err != nil {
		return nil, err
	}
	return c.found, nil
}

type annotations struct {
	found []rpc.ParamHeader
	seen  map[string]bool // names in lower case
}

// schema collects the annotations of a schema and of those inside it. The path leads
// from the arguments to what the schema describes; it is nil where properties alone
// do not lead there.
func (a *annotations) schema(text json.RawMessage, path []string, depth int) error {
	if text[0] != '{' {
		return nil
	}
	if depth >= maxSchemaDepth {
		return errTooDeep
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return err
	}
	if mark, ok := o.Get(annotationKey); ok {
		if err := a.add(o, mark, path); err != nil {
			return err
		}
	}
	atRoot := depth == 0
	o.Each(func(keyword string, value json.RawMessage) bool {
		switch {
		case keyword == "properties":
			err = a.named(value, path, atRoot || path != nil, depth)
		case slices.Contains(mapKeywords, keyword):
			err = a.named(value, nil, false, depth)
		case slices.Contains(schemaKeywords, keyword):
			err = a.unreachable(value, depth)
		}
		return err == nil
	})
	return err
}

// named goes through an object of schemas by name.
func (a *annotations) named(text json.RawMessage, path []string, reachable bool, depth int) error {
	if text[0] != '{' {
		return nil
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return err
	}
	o.Each(func(name string, value json.RawMessage) bool {
		var to []string
		if reachable {
			to = append(slices.Clone(path), name)
		}
		err = a.schema(value, to, depth+1)
		return err == nil
	})
	return err
}

// unreachable goes through one schema or a list of them.
func (a *annotations) unreachable(text json.RawMessage, depth int) error {
	if text[0] != '[' {
		return a.schema(text, nil, depth+1)
	}
	list, err := rpc.Elements(text)
	if err != nil {
		return err
	}
	for _, value := range list {
		if err := a.schema(value, nil, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add checks one annotation and keeps it.
func (a *annotations) add(property rpc.Object, mark json.RawMessage, path []string) error {
	if path == nil {
		return errUnreachable
	}
	refuse := func(reason string) error {
		return fmt.Errorf("property %s: %s %s", rpc.Excerpt(strings.Join(path, ".")), annotationKey, reason)
	}
	name, err := rpc.Unquote(mark)
	if err != nil || !isToken(name) {
		return refuse("must be a non-empty token")
	}
	switch kind, _ := property.Text("type"); kind {
	case "string", "integer", "boolean":
	default:
		return refuse("may stand on a string, integer or boolean only")
	}
	folded := strings.ToLower(name)
	switch {
	case a.seen[folded]:
		return refuse(rpc.Excerpt(name) + " stands twice")
	case len(a.found) >= maxAnnotations:
		return errTooMany
	}
	a.seen[folded] = true
	a.found = append(a.found, rpc.ParamHeader{Name: textproto.CanonicalMIMEHeaderKey(HeaderParamPrefix + name), Path: path})
	return nil
}

// isToken reports whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
