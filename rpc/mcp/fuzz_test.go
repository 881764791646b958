package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func FuzzHeaderValue(f *testing.F) {
	for _, s := range []string{"", "add", " a", "größe", "=?base64?YQ==?=", "=?base64??=", "=?base64?=", "=?base64?/w==?=", "a\r\nb", "\x00", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		decoded, ok := mcp.DecodeHeader(s)
		if ok && !utf8.ValidString(decoded) {
			t.Fatalf("%q is no text", decoded)
		}
		if !utf8.ValidString(s) {
			return
		}
		encoded := mcp.EncodeHeader(s)
		if strings.ContainsFunc(encoded, func(r rune) bool { return r != '\t' && (r < 0x20 || r > 0x7e) }) || strings.Trim(encoded, " \t") != encoded {
			t.Fatalf("%q cannot stand in a header", encoded)
		}
		if back, ok := mcp.DecodeHeader(encoded); !ok || back != s {
			t.Fatalf("%q comes back as %q, %v", s, back, ok)
		}
	})
}

// FuzzParamHeaders looks for schemas that cause panics, or annotations that cannot be
// told from the arguments they are for.
func FuzzParamHeaders(f *testing.F) {
	for _, s := range []string{
		`{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}`,
		`{"properties":{"a":{"properties":{"b":{"type":"integer","x-mcp-header":"B"}}}},"allOf":[{"not":{}}]}`,
		`{"$defs":{"x":{"type":"string","x-mcp-header":"A"}},"default":{"x-mcp-header":1}}`,
		`{"x-mcp-header":` + strings.Repeat(`{"properties":`, 40) + `1` + strings.Repeat("}", 40) + `}`,
		strings.Repeat(`{"items":[`, 30) + `{"x-mcp-he\u0061der":"A"}` + strings.Repeat("]}", 30),
	} {
		f.Add(s, `{"a":"x","b":7}`)
	}
	f.Fuzz(func(t *testing.T, schema, arguments string) {
		message := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"schema":` + schema + `,"arguments":` + arguments + `}}`
		m, err := rpc.Parse([]byte(message), rpc.Limits{})
		if err != nil {
			return // the schemas and arguments that get here were parsed with a message
		}
		text, _ := m.Get("schema")
		params, err := mcp.ParamHeaders(text)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, p := range params {
			if name := strings.ToLower(p.Name); seen[name] || len(p.Path) == 0 || !strings.HasPrefix(p.Name, mcp.HeaderParamPrefix) {
				t.Fatalf("header %q for %q", p.Name, p.Path)
			}
			seen[strings.ToLower(p.Name)] = true
		}
		h := map[string][]string{}
		if err := mcp.EachParam(m, params, func(name, value string) { h[name] = []string{value} }); err != nil {
			return
		}
		// What is made of the arguments must fit them, unless one cannot be mirrored.
		if err := mcp.CheckParams(h, m, params); err != nil && len(h) == countMirrored(m, params) {
			t.Fatalf("made %q of %s, then: %v", h, arguments, err)
		}
	})
}

// countMirrored counts the arguments that are present, by way of encoding/json.
func countMirrored(m *rpc.Message, params []rpc.ParamHeader) int {
	text, _ := m.Get("arguments")
	n := 0
	for _, p := range params {
		var at any
		if json.Unmarshal(text, &at) != nil {
			continue
		}
		for _, name := range p.Path {
			o, _ := at.(map[string]any)
			at = o[name]
		}
		if at != nil {
			n++
		}
	}
	return n
}

// FuzzCapabilities looks for panics, and for a text that is not canonical.
func FuzzCapabilities(f *testing.F) {
	for _, s := range []string{`{}`, `{"roots":{"listChanged":true},"sampling":{}}`, `{"extensions":{"b":[{"z":1,"y":2}],"a":{}}}`, `{"a":{"x":1,"x":2}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, caps string) {
		m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","method":"m","params":{"capabilities":`+caps+`}}`), rpc.Limits{})
		if err != nil {
			return
		}
		text, _ := m.Get("capabilities")
		features := mcp.Features(text)
		if features != "" && mcp.Features([]byte(features)) != features {
			t.Fatalf("%s has %s, which has %s", caps, features, mcp.Features([]byte(features)))
		}
		mcp.MayAsk(text, "roots/list")
	})
}
