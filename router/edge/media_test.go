package edge_test

import (
	"fmt"
	"strings"
	"testing"
)

// A page of another site can send simple content types without asking (Fetch), so
// only JSON is accepted.
func TestT8_ContentTypes(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session()
	tests := []struct {
		header []string
		status int
	}{
		{[]string{"Content-Type", "application/json"}, 200},
		{[]string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{[]string{"Content-Type", `application/json;charset="UTF-8"`}, 200},
		{[]string{"Content-Type", "Application/JSON"}, 200},
		{[]string{"Content-Type", "application/json;"}, 200},
		{[]string{"Content-Type", "-"}, 415},
		{[]string{"Content-Type", ""}, 415},
		{[]string{"Content-Type", "text/plain"}, 415},
		{[]string{"Content-Type", "text/plain; application/json"}, 415},
		{[]string{"Content-Type", "text/json"}, 415},
		{[]string{"Content-Type", "application/json-rpc"}, 415},
		{[]string{"Content-Type", "application/jsonx"}, 415},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{[]string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
		{[]string{"Content-Type", "application/json; charset=utf-16"}, 415},
		{[]string{"Content-Type", "application/json, text/plain"}, 415},
		{[]string{"+Content-Type", "application/json"}, 400},
		{[]string{"Content-Encoding", "gzip"}, 415},
		{[]string{"Content-Encoding", "identity, gzip"}, 415},
		{[]string{"Content-Encoding", "identity"}, 200},
	}
	for _, tt := range tests {
		if a := g.do("POST", request("7", "x/y"), append(tt.header, bearer...)...); a.status != tt.status {
			t.Errorf("%q: %d, want %d: %s", tt.header, a.status, tt.status, a.body)
		}
	}
}

func TestAcceptableForms(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session()
	const none, json, stream = "", "application/json", "text/event-stream"
	for accept, want := range map[string]string{
		"-":                                   json,
		"":                                    none,
		"application/json, text/event-stream": json,
		"text/event-stream, application/json": stream,
		"text/event-stream,application/json;q=0.5": stream,
		"APPLICATION/JSON":                         json,
		"application/*":                            json,
		"*/*":                                      json,
		"text/html, */*;q=0.1":                     json,
		"text/event-stream":                        stream,
		"text/*":                                   stream,
		"application/json;q=0, text/event-stream": stream,
		"*/*;q=0":                     none,
		"text/html":                   none,
		"application/json; Q = 0.000": none,
		"application/jsonx":           none,
	} {
		a := g.do("POST", request("7", "x/y"), append([]string{"Accept", accept}, bearer...)...)
		if want == none {
			if a.status != 406 || codeOf(t, a.body) != -32600 {
				t.Errorf("%q: %d %s", accept, a.status, a.body)
			}
			continue
		}
		if a.status != 200 || a.header.Get("Content-Type") != want {
			t.Errorf("%q: %d %v", accept, a.status, a.header)
		}
	}
	a := g.do("POST", request("7", "x/y"), append([]string{"Accept", "text/html", "+Accept", "application/json"}, bearer...)...)
	if a.status != 200 {
		t.Errorf("in two fields: %d %s", a.status, a.body)
	}
}

// Fields that decide something must not be understood in two ways.
func TestAmbiguousFieldsAreRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := strings.Join([]string{"Mcp-Session-Id", g.session()[1]}, ": ")
	tests := []struct {
		fields string
		status int
		code   int64
	}{
		{"X-Other: a\r\nX-Other: b\r\n", 200, 0},
		{"X_Other: a\r\n", 200, 0},
		{"Accept: application/json\r\nAccept: text/event-stream\r\n", 200, 0},
		{"X-Other: tab\there\r\n", 200, 0},
		{"Mcp-Session-Id: x\r\n", 400, -32600},
		{"Mcp-Protocol-Version: 2025-11-25\r\nMcp-Protocol-Version: 2025-11-25\r\n", 400, -32020},
		{"Mcp-Method: x/y\r\nmcp-method: x/y\r\n", 400, -32020},
		{"Mcp-Name: a\r\nMCP-NAME: b\r\n", 400, -32020},
		{"Mcp-Param-Region: eu\r\nMcp-Param-Region: us\r\n", 400, -32020},
		{"Authorization: a\r\nAuthorization: b\r\n", 400, -32600},
		{"Origin: http://a\r\nOrigin: http://b\r\n", 400, -32600},
		{"Content-Type: application/json\r\n", 400, -32600},
		{"Last-Event-Id: 1\r\nLast-Event-Id: 2\r\n", 400, -32600},
		{"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", 400, -32600},
		{"Mcp_Session_Id: x\r\n", 400, -32600},
		{"mcp_session-id: x\r\n", 400, -32600},
		{"Mcp_Name: x\r\n", 400, -32020},
		{"Content_Length: 5\r\n", 400, -32600},
		{"Content_Type: text/plain\r\n", 400, -32600},
		{"Transfer_Encoding: chunked\r\n", 400, -32600},
		{"X-Other: caf\xc3\xa9\r\n", 400, -32600},
		{"X-Other: \xff\r\n", 400, -32600},
		{"X-Other: \x80\r\n", 400, -32600},
		{"Mcp-Name: caf\xc3\xa9\r\n", 400, -32020},
	}
	body := request("7", "x/y")
	for _, tt := range tests {
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", bearer, tt.fields, len(body), body)
		status, got := readBody(t, in)
		if status != tt.status || codeOf(t, got) != tt.code {
			t.Errorf("%q: %d %s, want %d and %d", tt.fields, status, got, tt.status, tt.code)
		}
	}
}
