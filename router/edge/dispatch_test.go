package edge_test

import (
	"net/http"
	"strings"
	"testing"
)

// Which requests are served in which era, and how what is wrong with them is said
// (MCP 2026-07-28, Versioning; MCP 2025-11-25, Streamable HTTP).
func TestCorner5_15_EveryRequestIsServedInItsEra(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session()
	id := bearer[1]
	const (
		version = "Mcp-Protocol-Version"
		method  = "Mcp-Method"
		session = "Mcp-Session-Id"
	)
	discover := `{"jsonrpc":"2.0","id":7,"method":"server/discover","params":{` + meta(modernRevision) + `}}`
	list := `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{` + meta(modernRevision) + `}}`
	tests := []struct {
		name   string
		verb   string
		body   string
		header []string
		status int
		code   int64 // of the error, 0 for none
		says   string
	}{
		// Modern.
		{"modern request", "POST", list, []string{version, modernRevision, method, "tools/list"}, 200, 0, ""},
		{"modern request ignores a session it has", "POST", list, []string{version, modernRevision, method, "tools/list", session, id}, 200, 0, ""},
		{"modern request ignores a session that never was", "POST", list, []string{version, modernRevision, method, "tools/list", session, "nonsense"}, 200, 0, ""},
		{"modern meta without header", "POST", discover, nil, 400, -32020, version},
		{"modern meta with a legacy header", "POST", discover, []string{version, legacyRevision, method, "server/discover"}, 400, -32020, version},
		{"modern meta with a legacy header and a session", "POST", discover, append([]string{method, "server/discover"}, bearer...), 400, -32020, version},
		{"modern header without meta", "POST", request("7", "tools/list"), []string{version, modernRevision, method, "tools/list"}, 400, -32602, "_meta"},
		{"modern header with legacy meta", "POST", strings.Replace(list, modernRevision, legacyRevision, 1), []string{version, modernRevision, method, "tools/list"}, 400, -32020, version},
		{"revision that is not known", "POST", strings.Replace(list, modernRevision, "v999.0.0", 1), []string{version, "v999.0.0", method, "tools/list"}, 400, -32022, "v999.0.0"},
		{"revision that is not known and a header that differs", "POST", strings.Replace(list, modernRevision, "v999.0.0", 1), []string{version, modernRevision, method, "tools/list"}, 400, -32020, version},
		{"revision older than all", "POST", strings.Replace(list, modernRevision, "1999-01-01", 1), []string{version, "1999-01-01", method, "tools/list"}, 400, -32022, "1999-01-01"},
		{"revision that is no string", "POST", strings.Replace(list, `"`+modernRevision+`"`, "20260728", 1), []string{version, modernRevision, method, "tools/list"}, 400, -32020, version},
		{"no capabilities", "POST", strings.Replace(list, "clientCapabilities", "somethingElse", 1), []string{version, modernRevision, method, "tools/list"}, 400, -32602, "clientCapabilities"},
		{"unknown log level", "POST", strings.Replace(list, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/logLevel":"loud",`, 1), []string{version, modernRevision, method, "tools/list"}, 400, -32602, "logLevel"},
		{"method that modern lacks", "POST", strings.Replace(list, "tools/list", "ping", 1), []string{version, modernRevision, method, "ping"}, 404, -32601, "ping"},
		{"initialize with modern meta", "POST", strings.Replace(list, "tools/list", "initialize", 1), []string{version, modernRevision, method, "initialize"}, 404, -32601, "initialize"},
		{"method that is withheld", "POST", strings.Replace(list, "tools/list", "logging/setLevel", 1), []string{version, modernRevision, method, "logging/setLevel"}, 404, -32601, "logging/setLevel"},
		{"modern notification", "POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, []string{version, modernRevision}, 202, 0, ""},
		{"modern notification of a revision that is not known", "POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, []string{version, "2099-01-01"}, 400, -32022, "2099-01-01"},
		{"modern response", "POST", `{"jsonrpc":"2.0","id":7,"result":{}}`, []string{version, modernRevision}, 400, -32600, "responses"},
		{"request that names a notification", "POST", strings.Replace(list, "tools/list", "notifications/cancelled", 1), []string{version, modernRevision, method, "notifications/cancelled"}, 400, -32600, "notification"},
		{"call without an id", "POST", strings.Replace(list, `"id":7,`, ``, 1), []string{version, modernRevision, method, "tools/list"}, 400, -32600, "needs an id"},

		// Legacy.
		{"request in a session", "POST", request("7", "tools/list"), bearer, 200, 0, ""},
		{"request in a session without version header", "POST", request("7", "tools/list"), bearer[:2], 200, 0, ""},
		{"request in a session with another legacy version", "POST", request("7", "tools/list"), []string{session, id, version, "2025-03-26"}, 200, 0, ""},
		{"request in a session with a version that never was", "POST", request("7", "tools/list"), []string{session, id, version, "2025-01-01"}, 400, -32600, version},
		{"request in an unknown session", "POST", request("7", "tools/list"), []string{session, "nonsense"}, 404, -32600, "initialize"},
		{"request in a session of another endpoint", "POST", request("7", "tools/list"), append([]string{"Path", "/mcp/one"}, bearer...), 404, -32600, "initialize"},
		{"request without a session", "POST", request("7", "tools/list"), nil, 400, -32600, "session required"},
		{"request without a session, with its version", "POST", request("7", "tools/list"), []string{version, legacyRevision}, 400, -32600, "session required"},
		{"notification in a session", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, bearer, 202, 0, ""},
		{"notification without a session", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 400, -32600, "session required"},
		{"response in a session", "POST", `{"jsonrpc":"2.0","id":7,"result":{}}`, bearer, 202, 0, ""},
		{"error response without an id", "POST", `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, bearer, 202, 0, ""},
		{"response without a session", "POST", `{"jsonrpc":"2.0","id":7,"result":{}}`, nil, 400, -32600, "session required"},
		{"method that legacy lacks", "POST", request("7", "server/discover"), bearer, 200, -32601, "server/discover"},
		{"request that names a notification, legacy", "POST", request("7", "notifications/initialized"), bearer, 400, -32600, "notification"},
		{"initialize", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, nil, 200, 0, "2025-06-18"},
		{"initialize for a modern revision", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`, nil, 200, 0, legacyRevision},
		{"initialize for a revision that never was", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"x"}}`, nil, 200, 0, legacyRevision},
		{"initialize in a session that never was", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, []string{session, "nonsense"}, 200, 0, ""},
		{"initialize without a version", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}`, nil, 200, -32602, "protocolVersion"},
		{"initialize with capabilities that are none", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":[]}}`, nil, 200, -32602, "capabilities"},
		{"initialize with too much to say", "POST", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"x":"` + strings.Repeat("x", 70_000) + `"}}}`, nil, 200, -32602, "65536"},
		{"initialize as a notification", "POST", `{"jsonrpc":"2.0","method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, nil, 400, -32600, "session required"},

		// Verbs.
		{"GET without a session", "GET", "", nil, 405, -32600, "GET"},
		{"GET of a modern client", "GET", "", []string{version, modernRevision, session, id}, 405, -32600, "GET"},
		{"GET in an unknown session", "GET", "", []string{session, "nonsense"}, 404, -32600, "initialize"},
		{"GET that takes no stream", "GET", "", append([]string{"Accept", "application/json"}, bearer...), 406, -32600, "text/event-stream"},
		{"GET with a body", "GET", "{}", bearer, 400, -32600, "body"},
		{"DELETE without a session", "DELETE", "", nil, 405, -32600, "DELETE"},
		{"DELETE in an unknown session", "DELETE", "", []string{session, "nonsense"}, 404, -32600, "initialize"},
		{"PUT", "PUT", "{}", bearer, 405, -32600, "PUT"},
		{"PATCH", "PATCH", "{}", bearer, 405, -32600, "PATCH"},
		{"OPTIONS that asks for nothing", "OPTIONS", "", nil, 405, -32600, "OPTIONS"},
		{"path that is no endpoint", "POST", list, []string{"Path", "/mcp/other"}, 404, -32600, "/mcp/other"},
		{"path that is escaped", "POST", list, []string{"Path", "/mcp/%6fne"}, 404, -32600, "/mcp/one"},
		{"path of an endpoint and a slash", "POST", list, []string{"Path", "/mcp/"}, 404, -32600, "/mcp/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := *g
			g.tb = t
			a := g.do(tt.verb, tt.body, tt.header...)
			if a.status != tt.status {
				t.Errorf("status = %d, want %d: %s", a.status, tt.status, a.body)
			}
			if a.status == http.StatusAccepted {
				if a.body != "" {
					t.Errorf("202 with body %q", a.body)
				}
				return
			}
			f := failureOf(t, a.body)
			code := int64(0)
			if f.Error != nil {
				code = f.Error.Code
			}
			if code != tt.code {
				t.Errorf("code = %d, want %d: %s", code, tt.code, a.body)
			}
			if !strings.Contains(a.body, tt.says) {
				t.Errorf("body %s does not mention %s", a.body, tt.says)
			}
			want := "null"
			if strings.Contains(tt.body, `"id":7`) && !strings.HasPrefix(tt.name, "path") {
				want = "7"
			}
			if string(f.ID) != want {
				t.Errorf("id = %s, want %s: %s", f.ID, want, a.body)
			}
			if allow := a.header.Get("Allow"); (a.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("status %d with Allow %q", a.status, allow)
			}
			if a.header.Get("Mcp-Session-Id") != "" && !strings.HasPrefix(tt.name, "initialize") {
				t.Errorf("a session was opened")
			}
		})
	}
}
