package mcpserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_7_OldServersAreNotToldTheContext(t *testing.T) {
	t.Parallel()
	const sent = `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"1"}}}}`
	for revision, keeps := range map[rpc.Revision]bool{
		"2024-11-05": false, "2025-03-26": false, "2025-06-18": true, "2025-11-25": true, "2026-07-28": true,
	} {
		t.Run(string(revision), func(t *testing.T) {
			t.Parallel()
			h := &script{
				initial: func(w http.ResponseWriter, id string) {
					answerJSON(w, 200, strings.Replace(initialized(id), "2025-06-18", string(revision), 1))
				},
				answer: func(w http.ResponseWriter, r received) {
					answerJSON(w, 200, result(r.id, `{"completion":{"values":[]}}`))
				},
			}
			if revision == mcp.LatestModern {
				h.discover = discovered
			}
			mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(), sent))
			got := h.find("POST", mcp.Complete)[0].body
			if kept := strings.Contains(got, `"context":{"arguments":{"b":"1"}}`); kept != keeps || strings.Contains(got, "context") != keeps {
				t.Error(got)
			}
			if !strings.Contains(got, `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}`) {
				t.Error(got)
			}
		})
	}
}

// What is a peer's own passes; what is said from hop to hop is replaced.
func TestCorner5_10_OnlyWhatIsOfTheHopIsReplaced(t *testing.T) {
	t.Parallel()
	const (
		theirs = `"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=1","baggage":"k=v","com.example/x":{"n":1.0},"io.modelcontextprotocol/related-task":{"taskId":"t"}`
		own    = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"other","version":"2"}`
		level  = `"io.modelcontextprotocol/logLevel":"info"`
	)
	old := legacyClient()
	old.Info, old.Capabilities = []byte(`{"name":"known","version":"1"}`), []byte(`{"roots":{"listChanged":true}}`)
	old.LogLevel = "error"
	for name, tt := range map[string]struct {
		client     rpc.Client
		modern     bool // the server
		meta, want string
	}{
		"modern to modern": {modernClient(), true, own + "," + level + "," + theirs, own + "," + level + "," + theirs},
		"modern to legacy": {modernClient(), false, own + "," + level + "," + theirs, theirs},
		"legacy to legacy": {old, false, theirs, theirs},
		"legacy to modern": {old, true, theirs, theirs + `,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},` +
			`"io.modelcontextprotocol/clientInfo":{"name":"known","version":"1"},"io.modelcontextprotocol/logLevel":"error"`},
		"legacy that says it is modern": {legacyClient(), true, own, `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":` + string(legacyClient().Info)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const answered = `{"content":[{"type":"text","text":"x","_meta":{"com.example/c":1.0}}],"_meta":{"com.example/r":[1e2],"progressToken":7}}`
			h := &script{answer: func(w http.ResponseWriter, r received) {
				answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/com.example/n","params":{"_meta":{"com.example/n":"\u00e9"}}}`), event(result(r.id, answered)))
			}}
			if tt.modern {
				h.discover = discovered
			}
			c := newCall(t, tt.client, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{`+tt.meta+`}}}`)
			c.Header = http.Header{"Traceparent": {"00-11111111111111111111111111111111-1111111111111111-00"}, "Baggage": {"forged=1"}}
			a := mustRun(t, newServer(t, remote(t, h)), c)
			sent := h.find("POST", mcp.ToolsCall)[0]
			if want := `"_meta":{` + tt.want + `}}}`; !strings.HasSuffix(sent.body, want) {
				t.Errorf("sent %s\nwant …%s", sent.body, want)
			}
			for _, field := range []string{"Traceparent", "Tracestate", "Baggage"} {
				if v := sent.header.Get(field); v != "" {
					t.Errorf("%s: %s", field, v)
				}
			}
			if len(a.before) != 1 || !strings.Contains(textOf(a.before[0]), `"_meta":{"com.example/n":"\u00e9"}`) || string(a.response.Result) != answered {
				t.Errorf("came back: %v, %s", a.before, textOf(a.response))
			}
		})
	}
}
