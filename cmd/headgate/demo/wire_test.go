package demo_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"t","version":"1"}}}`
	meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
)

// request is one HTTP request; what it leaves empty is as a good client has it.
type request struct {
	verb, body string
	header     map[string]string // a value of "-" removes the field
}

func send(t *testing.T, url string, q request) (*http.Response, string) {
	t.Helper()
	verb := q.verb
	if verb == "" {
		verb = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), verb, url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range q.header {
		if r.Header.Set(name, value); value == "-" {
			r.Header.Del(name)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// expect sends a request and compares status and a part of the body.
func expect(t *testing.T, url string, q request, status int, want string) {
	t.Helper()
	response, body := send(t, url, q)
	if response.StatusCode != status || !strings.Contains(body, want) {
		t.Errorf("got %d %s, want %d with %s", response.StatusCode, body, status, want)
	}
}

func TestBothErasCheckTheExchange(t *testing.T) {
	t.Parallel()
	urls := start(t)
	for _, server := range []string{"demo", "clock"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			url := urls[server]
			header := func(name, value string) request {
				return request{body: initialize, header: map[string]string{name: value}}
			}
			expect(t, url, header("Origin", "https://evil.example"), 403, "-32600")
			expect(t, url, header("Content-Type", "text/plain"), 415, "Content-Type")
			expect(t, url, header("Accept", "application/json"), 406, "Accept")
			expect(t, url, header("Accept", "-"), 406, "Accept")
			expect(t, url, request{verb: http.MethodGet}, 405, "GET")
			expect(t, url, request{body: "{"}, 400, "-32700")
			expect(t, url, request{body: "[" + initialize + "]"}, 400, "-32600")
			expect(t, url, request{body: `{"jsonrpc":"2.0","id":1,"method":"x","params":{"pad":"` + strings.Repeat("x", 1<<20) + `"}}`}, 413, "body")
		})
	}
}

func TestLegacySessions(t *testing.T) {
	t.Parallel()
	url := start(t)["demo"]
	const list = `{"jsonrpc":"2.0","id":"ü","method":"tools/list"}`

	expect(t, url, request{body: list}, 400, "-32600")
	expect(t, url, request{body: list, header: map[string]string{"Mcp-Session-Id": "guess"}}, 404, "-32600")

	response, body := send(t, url, request{body: strings.Replace(initialize, "2025-11-25", "1999-01-01", 1)})
	if !strings.Contains(body, `"protocolVersion":"2025-11-25"`) {
		t.Errorf("initialize with an unknown revision: %s", body)
	}
	id := response.Header.Get("Mcp-Session-Id")
	in := func(body string) request {
		return request{body: body, header: map[string]string{"Mcp-Session-Id": id, "Mcp-Protocol-Version": "2025-11-25"}}
	}
	expect(t, url, in(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), 202, "")
	expect(t, url, in(list), 200, `"id":"ü"`)
	expect(t, url, in(`{"jsonrpc":"2.0","id":2,"method":"ping"}`), 200, `"result":{}`)
	expect(t, url, in(`{"jsonrpc":"2.0","id":2,"method":"prompts/list"}`), 200, "-32601")
	expect(t, url, in(`{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"x"}}`), 200, "-32602")
	expect(t, url, in(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add","arguments":[1]}}`), 200, "-32602")
	other := in(list)
	other.header["Mcp-Protocol-Version"] = "2025-06-18"
	expect(t, url, other, 400, "agreed")
	end := in("")
	end.verb = http.MethodDelete
	expect(t, url, end, 204, "")
	expect(t, url, in(list), 404, "-32600")
}

func TestModernRequestsSpeakForThemselves(t *testing.T) {
	t.Parallel()
	url := start(t)["clock"]
	headers := func(method string) map[string]string {
		return map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method}
	}
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`

	expect(t, url, request{body: list, header: headers("tools/list")}, 200, `"resultType":"complete","ttlMs":60000,"cacheScope":"public"`)
	expect(t, url, request{body: list}, 400, "-32020")
	expect(t, url, request{body: list, header: headers("tools/call")}, 400, "-32020")
	expect(t, url, request{body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, header: headers("tools/list")}, 400, "-32602")
	expect(t, url, request{body: initialize}, 400, `"supported":["2026-07-28"]`)
	future := strings.Replace(list, "2026-07-28", "2099-01-01", 1)
	expect(t, url, request{body: future, header: headers("tools/list")}, 400, `"requested":"2099-01-01"`)
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + meta + `}}`
	expect(t, url, request{body: ping, header: headers("ping")}, 404, "-32601")
	expect(t, url, request{body: `{"jsonrpc":"2.0","method":"notifications/cancelled"}`}, 202, "")
	expect(t, url, request{body: `{"jsonrpc":"2.0","id":1,"result":{}}`}, 400, "-32600")
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"now",` + meta + `}}`
	wrong := headers("tools/call")
	wrong["Mcp-Name"] = "wait"
	expect(t, url, request{body: call, header: wrong}, 400, "-32020")
	expect(t, url, request{verb: http.MethodDelete}, 405, "DELETE")
}
