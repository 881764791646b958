package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

// oddResults are results that a codec which decodes and encodes would change.
var oddResults = map[string]string{
	"unknown members":        `{"content":[],"zeta":{"b":1,"a":2},"isError":false,"x-vendor":null}`,
	"unknown content types":  `{"content":[{"type":"hologram","depth":3},{"type":"text","text":"","priority":0}]}`,
	"integers beyond 2^53":   `{"content":[],"structuredContent":{"n":9007199254740993,"m":12345678901234567890,"k":-9223372036854775809}}`,
	"numbers as written":     `{"content":[],"structuredContent":{"a":1.0,"b":1e2,"c":-0,"d":0.10,"e":1E400}}`,
	"key order":              `{"structuredContent":{"b":1,"a":2,"C":3},"content":[]}`,
	"characters HTML minds":  `{"content":[{"type":"text","text":"<a href='x'>&amp;</a>"}]}`,
	"escaped and raw text":   `{"content":[{"type":"text","text":"\u00e9é\u2028 \/ \ud83d\ude00😀"}]}`,
	"half a surrogate pair":  `{"content":[{"type":"text","text":"\ud83d"}]}`,
	"insignificant space":    `{ "content" : [ ] ,	"a" :[1 , 2]}`,
	"duplicates not read":    `{"content":[],"structuredContent":{"a":1,"a":2}}`,
	"names in another case":  `{"content":[],"Content":7,"ISERROR":true}`,
	"absent and null differ": `{"content":[],"structuredContent":null,"_meta":{}}`,
}

func TestCorner5_11_ResultsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"json", "sse"} {
		for name, result := range oddResults {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				_, legacyURL := fakeUpstream(t, fake.Config{
					Eras: fake.Legacy, SSE: transport == "sse",
					Tools: []fake.Tool{{Name: "odd", Behaviour: fake.Result([]byte(result))}},
				})
				modern := `{"resultType":"complete",` + strings.TrimLeft(result[1:], " ")
				_, modernURL := fakeUpstream(t, fake.Config{
					Eras: fake.Modern, SSE: transport == "sse",
					Tools: []fake.Tool{{Name: "odd", Behaviour: fake.Result([]byte(modern))}},
				})
				g := startGateway(t, "upstreams:\n"+httpUpstream("old", legacyURL)+httpUpstream("new", modernURL))

				call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"old__odd"}}`
				res, body := legacy(t, endpoint(g, "/mcp"), "{}").post(call, nil)
				if want := `"result":` + result; !strings.Contains(message(res, body), want) {
					t.Errorf("legacy:\n got %s\nwant …%s", body, want)
				}
				call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"new__odd",` + modernMeta + `}}`
				res, body = (&raw{t: t, url: endpoint(g, "/mcp")}).post(call, modernHeaders("tools/call", "new__odd"))
				if want := `"result":` + modern; !strings.Contains(message(res, body), want) {
					t.Errorf("modern:\n got %s\nwant …%s", body, want)
				}
			})
		}
	}
}

// modernMeta is the _meta of a modern client that declares nothing.
const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"}}`

// oddArguments are arguments that a codec which decodes and encodes would change.
var oddArguments = []string{
	`{"z":1.0,"a":9007199254740993,"html":"<&>","esc":"\u00e9\/","raw":"é 😀","half":"\ud800"}`,
	`{ "spaced" : [ 1 , 2 ] }`,
	`{"a":1,"a":2}`,
	`{}`,
	``, // absent stays absent
}

func TestCorner5_11_ArgumentsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	for _, era := range []struct {
		name    string
		eras    fake.Era
		meta    string
		headers map[string]string
	}{
		{"legacy", fake.Legacy, "", nil},
		{"modern", fake.Modern, "," + modernMeta, modernHeaders("tools/call", "up__echo")},
	} {
		for i, arguments := range oddArguments {
			t.Run(fmt.Sprintf("%s/%d", era.name, i), func(t *testing.T) {
				t.Parallel()
				up, url := fakeUpstream(t, fake.Config{Eras: era.eras, Record: true})
				g := startGateway(t, "upstreams:\n"+httpUpstream("up", url))
				r := &raw{t: t, url: endpoint(g, "/mcp")}
				if era.headers == nil {
					r = legacy(t, r.url, "{}")
				}
				member := ""
				if arguments != "" {
					member = `,"arguments":` + arguments
				}
				r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__echo"`+member+era.meta+`}}`, era.headers)
				var got string
				for _, received := range up.Received() {
					if strings.Contains(string(received.Body), `"tools/call"`) {
						got = string(received.Body)
					}
				}
				want := `"params":{"name":"echo"` + member
				if !strings.Contains(got, want) {
					t.Errorf("the upstream got %s, want …%s", got, want)
				}
			})
		}
	}
}

func TestIDsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	_, url := fakeUpstream(t, fake.Config{})
	g := startGateway(t, "upstreams:\n"+httpUpstream("up", url)+stdioUpstream("child", stdioServer(t)))
	old := legacy(t, endpoint(g, "/mcp"), "{}")
	modern := &raw{t: t, url: endpoint(g, "/mcp")}
	for _, id := range []string{`1`, `"1"`, `9007199254740993`, `-0`, `"é"`, `"\u00e9"`, `1.0`, `1e0`, `1.5`, `""`, `"a\"b"`} {
		for _, name := range []string{"up__echo", "child__echo"} {
			call := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + name + `","arguments":{"nonce":"n"}`
			for era, exchange := range map[string]func() string{
				"legacy": func() string { return message(old.post(call+`}}`, nil)) },
				"modern": func() string {
					return message(modern.post(call+`,`+modernMeta+`}}`, modernHeaders("tools/call", name)))
				},
			} {
				if got := exchange(); !strings.Contains(got, `"id":`+id+`,`) || !strings.Contains(got, `"result"`) {
					t.Errorf("%s %s: id %s came back in %s", era, name, id, got)
				}
			}
		}
		if got := message(old.post(`{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`, nil)); !strings.Contains(got, `"id":`+id+`,`) {
			t.Errorf("ping: id %s came back in %s", id, got)
		}
	}
}
