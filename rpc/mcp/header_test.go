package mcp_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestHeaderValues(t *testing.T) {
	t.Parallel()
	wrap := func(s string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }
	for value, want := range map[string]string{
		"":                   "",
		"add":                "add",
		"file:///a b.txt":    "file:///a b.txt",
		"a\tb":               "a\tb",
		"~!@#$%^&*()_+=?<>;": "~!@#$%^&*()_+=?<>;",
		"größe":              wrap("größe"),
		" leading":           wrap(" leading"),
		"trailing ":          wrap("trailing "),
		"\ttab":              wrap("\ttab"),
		" ":                  wrap(" "),
		"line\nend":          wrap("line\nend"),
		"a\r\nX-Evil: 1":     wrap("a\r\nX-Evil: 1"),
		"\x00":               wrap("\x00"),
		"\x7f":               wrap("\x7f"),
		"日本語":                "=?base64?5pel5pys6Kqe?=",
		"=?base64?YQ==?=":    wrap("=?base64?YQ==?="), // looks encoded
		"=?base64??=":        wrap("=?base64??="),
		"=?base64?=":         "=?base64?=", // too short to look encoded
		"=?BASE64?YQ==?=":    "=?BASE64?YQ==?=",
		"=?base64?YQ==":      "=?base64?YQ==",
	} {
		got := mcp.EncodeHeader(value)
		if got != want {
			t.Errorf("EncodeHeader(%q) = %q, want %q", value, got, want)
		}
		if back, ok := mcp.DecodeHeader(got); !ok || back != value {
			t.Errorf("DecodeHeader(%q) = %q, %v, want %q", got, back, ok, value)
		}
	}
	for _, value := range []string{
		"=?base64?YQ?=", "=?base64?YQ=?=", "=?base64?YR==?=", "=?base64?Y Q==?=", "=?base64?_-8=?=", "=?base64?/w==?=", "=?base64?YQ==YQ==?=",
		"é", "a\x00", " a", "a ", "a\n", "\x80",
	} {
		if got, ok := mcp.DecodeHeader(value); ok {
			t.Errorf("DecodeHeader(%q) = %q", value, got)
		}
	}
	if got, ok := mcp.DecodeHeader("=?base64??="); !ok || got != "" {
		t.Errorf("nothing, encoded, is %q, %v", got, ok)
	}
}

// modern builds a modern request that names a subject, and the headers that fit it.
func modern(t *testing.T, method, member, subject string) (*rpc.Message, http.Header) {
	t.Helper()
	params := `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	h := http.Header{}
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", method)
	if member != "" {
		params += `,"` + member + `":` + string(rpc.AppendString(nil, subject))
		h.Set("Mcp-Name", mcp.EncodeHeader(subject))
	}
	return rpc.NewRequest(rpc.NumberID(1), method, []byte(params+"}")), h
}

func wantCode(t *testing.T, err error, code rpc.Code) {
	t.Helper()
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != code {
		t.Errorf("error is %v, want %s", err, code)
	}
}

func TestMatchingHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range [][3]string{
		{"server/discover", "", ""},
		{"tools/list", "", ""},
		{"tools/call", "name", "add"},
		{"tools/call", "name", ""},
		{"tools/call", "name", "größe 大"},
		{"tools/call", "name", "=?base64?YQ==?="},
		{"tools/call", "name", "a\r\nb"},
		{"prompts/get", "name", "p"},
		{"resources/read", "uri", "file:///a%20b"},
		{"tasks/get", "taskId", "t1"},
		{"tasks/update", "taskId", "t1"},
		{"tasks/cancel", "taskId", " t1 "},
		{"vendor/x", "", ""},
	} {
		m, h := modern(t, tt[0], tt[1], tt[2])
		if err := mcp.CheckHeaders(h, m); err != nil {
			t.Errorf("%q: %v", tt, err)
		}
		if tt[1] != "" {
			h.Set("Mcp-Name", "=?base64?"+base64.StdEncoding.EncodeToString([]byte(tt[2]))+"?=")
			if err := mcp.CheckHeaders(h, m); err != nil {
				t.Errorf("%q, encoded without need: %v", tt, err)
			}
		}
	}
	// A name that nothing asks for is not looked at.
	m, h := modern(t, "tools/list", "", "")
	h.Set("Mcp-Name", "whatever")
	h.Set("Mcp-Param-X", "whatever")
	h.Set("Mcp-Session-Id", "whatever")
	if err := mcp.CheckHeaders(h, m); err != nil {
		t.Error(err)
	}
}

// TestMismatchedHeaders bends each mirrored header of each method that has it in
// every way that must be told from the body.
func TestMismatchedHeaders(t *testing.T) {
	t.Parallel()
	bend := map[string]func(h http.Header, name string){
		"absent":             func(h http.Header, name string) { h.Del(name) },
		"no value":           func(h http.Header, name string) { h[name] = nil },
		"empty":              func(h http.Header, name string) { h.Set(name, "") },
		"repeated":           func(h http.Header, name string) { h.Add(name, h.Get(name)) },
		"repeated, other":    func(h http.Header, name string) { h.Add(name, "other") },
		"other":              func(h http.Header, name string) { h.Set(name, "other") },
		"other case":         func(h http.Header, name string) { h.Set(name, strings.ToUpper(h.Get(name))+"X") },
		"prefix":             func(h http.Header, name string) { h.Set(name, h.Get(name)[:1]) },
		"longer":             func(h http.Header, name string) { h.Set(name, h.Get(name)+"x") },
		"trailing NUL":       func(h http.Header, name string) { h.Set(name, h.Get(name)+"\x00") },
		"leading space":      func(h http.Header, name string) { h.Set(name, " "+h.Get(name)) },
		"trailing space":     func(h http.Header, name string) { h.Set(name, h.Get(name)+" ") },
		"comma list":         func(h http.Header, name string) { h.Set(name, h.Get(name)+", "+h.Get(name)) },
		"quoted":             func(h http.Header, name string) { h.Set(name, `"`+h.Get(name)+`"`) },
		"base64 of other":    func(h http.Header, name string) { h.Set(name, "=?base64?b3RoZXI=?=") },
		"base64, no padding": func(h http.Header, name string) { h.Set(name, "=?base64?YQ?=") },
		"base64, upper case": func(h http.Header, name string) {
			h.Set(name, "=?BASE64?"+base64.StdEncoding.EncodeToString([]byte(h.Get(name)))+"?=")
		},
		"base64, twice": func(h http.Header, name string) {
			once := "=?base64?" + base64.StdEncoding.EncodeToString([]byte(h.Get(name))) + "?="
			h.Set(name, "=?base64?"+base64.StdEncoding.EncodeToString([]byte(once))+"?=")
		},
		"bare base64":   func(h http.Header, name string) { h.Set(name, base64.StdEncoding.EncodeToString([]byte(h.Get(name)))) },
		"not canonical": func(h http.Header, name string) { h[strings.ToLower(name)] = h[name]; h.Del(name) },
	}
	cases := 0
	for _, tt := range [][3]string{
		{"tools/call", "name", "add"},
		{"prompts/get", "name", "p1"},
		{"resources/read", "uri", "file:///x"},
		{"tasks/get", "taskId", "t-17"},
		{"server/discover", "", ""},
	} {
		headers := []string{mcp.HeaderVersion, mcp.HeaderMethod}
		if tt[1] != "" {
			headers = append(headers, mcp.HeaderName)
		}
		for _, header := range headers {
			for name, bend := range bend {
				cases++
				t.Run(fmt.Sprintf("%s/%s/%s", tt[0], header, name), func(t *testing.T) {
					t.Parallel()
					m, h := modern(t, tt[0], tt[1], tt[2])
					bend(h, header)
					wantCode(t, mcp.CheckHeaders(h, m), rpc.HeaderMismatch)
				})
			}
		}
	}
	if cases < 60 {
		t.Errorf("only %d cases", cases)
	}
}

func TestHeadersAgainstOddBodies(t *testing.T) {
	t.Parallel()
	message := func(text string) *rpc.Message {
		m, err := rpc.Parse([]byte(text), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	full := header("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "add")
	for name, tt := range map[string]struct {
		text string
		h    http.Header
		want rpc.Code // Internal stands for no error
	}{
		"no subject":     {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + meta + `}}`, full, rpc.InvalidParams},
		"subject null":   {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null,` + meta + `}}`, full, rpc.InvalidParams},
		"subject number": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1,` + meta + `}}`, full, rpc.InvalidParams},
		"escaped":        {`{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"\u0061dd",` + meta + `}}`, full, rpc.Internal},
		"no version":     {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}`, full, rpc.HeaderMismatch},
		"no params":      {`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, full, rpc.HeaderMismatch},
		"notification":   {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, header("MCP-Protocol-Version", "2026-07-28"), rpc.Internal},
		"notification of another version": {
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{` + meta + `}}`, header("MCP-Protocol-Version", "2025-11-25"), rpc.HeaderMismatch,
		},
		"notification without version": {`{"jsonrpc":"2.0","method":"notifications/cancelled"}`, header(), rpc.HeaderMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := mcp.CheckHeaders(tt.h, message(tt.text))
			if tt.want == rpc.Internal {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, tt.want)
		})
	}
}

// TestMismatchesAreShort keeps what a client sent from filling the log and the answer.
func TestMismatchesAreShort(t *testing.T) {
	t.Parallel()
	m, h := modern(t, "tools/call", "name", strings.Repeat("x", 1<<20))
	h.Set("Mcp-Name", strings.Repeat("\x1b", 1<<20))
	err := mcp.CheckHeaders(h, m)
	wantCode(t, err, rpc.HeaderMismatch)
	if text := err.Error(); len(text) > 400 || strings.Contains(text, "\x1b") {
		t.Errorf("%d bytes: %.100q", len(text), text)
	}
}
