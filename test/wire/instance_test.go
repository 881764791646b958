package wire_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// instances makes random instances of the part of JSON Schema that the protocol's
// schemas use. What it makes is validated, so that it cannot cheat.
type instances struct {
	*generator
	definitions map[string]any
}

// deep is where only what is required is still made.
const deep = 6

// of makes an instance of a schema.
func (g *instances) of(definition any, level int) any {
	s, ok := definition.(map[string]any)
	if !ok {
		return g.anything(level) // true, or an empty schema
	}
	if ref, ok := s["$ref"].(string); ok {
		return g.of(g.definitions[ref[strings.LastIndexByte(ref, '/')+1:]], level)
	}
	if v, ok := s["const"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok {
		return pick(g.generator, list...)
	}
	if list, ok := s["anyOf"].([]any); ok {
		if level > deep {
			return g.of(list[0], level)
		}
		return g.of(pick(g.generator, list...), level)
	}
	if list, ok := s["allOf"].([]any); ok {
		return g.all(list, level)
	}
	return g.typed(s, level)
}

// all makes one object of several schemas.
func (g *instances) all(list []any, level int) any {
	out := map[string]any{}
	for _, s := range list {
		if part, ok := g.of(s, level).(map[string]any); ok {
			maps.Copy(out, part)
		}
	}
	return out
}

func (g *instances) typed(s map[string]any, level int) any {
	kind, _ := s["type"].(string)
	if kinds, ok := s["type"].([]any); ok {
		kind = pick(g.generator, kinds...).(string)
	}
	switch kind {
	case "string":
		return g.string(s)
	case "integer":
		return g.number("0", "1", "-1", "7", "9007199254740993", "123456789012345678901234567890")
	case "number":
		if s["maximum"] != nil {
			return g.number("0", "1", "0.5", "1e-3")
		}
		return g.number("0", "-1.5", "2.0", "1e21", "9007199254740993", "1E-7")
	case "boolean":
		return g.one(2)
	case "null":
		return nil
	case "array":
		return g.array(s, level)
	case "object":
		return g.object(s, level)
	}
	if s["properties"] != nil {
		return g.object(s, level)
	}
	return g.anything(level)
}

func (g *instances) number(list ...string) json.Number {
	return json.Number(pick(g.generator, list...))
}

func (g *instances) string(s map[string]any) string {
	switch s["format"] {
	case "uri":
		return pick(g.generator, "file:///tmp/a%20b", "https://example.org/x?y=z#f", "ui://widget/1", "urn:isbn:0451450523")
	case "uri-template":
		return pick(g.generator, "file:///{path}", "https://example.org/{x}/{y}")
	case "byte":
		return pick(g.generator, "", "aGk=", "AAECAw==")
	}
	return pick(g.generator, "", "x", "add", "größe 大 😀", "a\"b\\c/d", "line\nend\t\x00", " space ", "=?base64?YQ==?=", "\u2028<&>", "null")
}

func (g *instances) array(s map[string]any, level int) any {
	out := []any{}
	for range g.IntN(3) {
		if level > deep {
			break
		}
		out = append(out, g.of(s["items"], level+1))
	}
	return out
}

func (g *instances) object(s map[string]any, level int) any {
	out := map[string]any{}
	required, _ := s["required"].([]any)
	properties, _ := s["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || level <= deep && g.one(2) {
			out[name] = g.of(properties[name], level+1)
		}
	}
	if _, ok := out["io.modelcontextprotocol/protocolVersion"]; ok {
		out["io.modelcontextprotocol/protocolVersion"] = "2026-07-28" // the schema allows any text
	}
	if more, ok := s["additionalProperties"]; ok && more != false && level <= deep {
		for range g.IntN(3) {
			name := pick(g.generator, "x", "vendor/key", "größe", "", "a\"b", "io.example/ID", "traceparent")
			if _, known := properties[name]; !known {
				out[name] = g.of(more, level+1)
			}
		}
	}
	return out
}

// anything makes an instance of a schema that allows everything.
func (g *instances) anything(level int) any {
	switch n := g.IntN(7); {
	case n == 0 && level <= deep:
		return []any{g.anything(level + 1), "é"}
	case n == 1 && level <= deep:
		return map[string]any{"ID": g.anything(level + 1), "Name": true, "": nil}
	case n == 2:
		return g.number("0", "1e400", "9007199254740993", "-0.0")
	case n == 3:
		return nil
	case n == 4:
		return g.one(2)
	}
	return g.string(nil)
}

// write writes an instance with members in random order, and random space and escapes.
func (g *instances) write(v any) []byte {
	g.b.Reset()
	g.space()
	g.put(v)
	g.space()
	return g.b.Bytes()
}

func (g *instances) put(v any) {
	switch v := v.(type) {
	case map[string]any:
		var list []member
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, member{name, func() { g.put(v[name]) }})
		}
		g.generator.object(g.spoiled(list, "none"))
	case []any:
		g.b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				g.b.WriteByte(',')
			}
			g.space()
			g.put(item)
		}
		g.b.WriteByte(']')
	case string:
		if v == "2.0" {
			g.b.WriteString(`"2.0"`) // the version is compared as it stands
			return
		}
		g.text(v)
	case json.Number:
		g.b.WriteString(v.String())
	default:
		text, _ := json.Marshal(v)
		g.b.Write(text)
	}
}
