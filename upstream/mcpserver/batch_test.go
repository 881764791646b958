package mcpserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// batching is a server over HTTP that answers calls with an array, as one body or as one event.
func batching(revision string, stream bool, array func(id string) string) *script {
	return &script{
		initial: func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"protocolVersion":"`+revision+`","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}`))
		},
		answer: func(w http.ResponseWriter, r received) {
			if stream {
				answerEvents(w, event(array(r.id)))
			} else {
				answerJSON(w, 200, array(r.id))
			}
		},
	}
}

// What a server of 2025-03-26 sends in one array is taken apart: its notifications, its response, and what is not the call's.
func TestCorner5_26_BatchesOfServers(t *testing.T) {
	t.Parallel()
	whole := func(id string) string {
		return `[{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}, {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}},{"jsonrpc":"2.0","id":` + id + `,"result":{"n":1.0}}]`
	}
	for name, cfg := range map[string]config.Upstream{
		"stdio": scripted("batching"), "http": remote(t, batching("2025-03-26", false, whole)), "stream": remote(t, batching("2025-03-26", true, whole)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Era = "legacy"
			s := newServer(t, cfg)
			heard := make(chan string, 4)
			s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
			for range 2 {
				a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"me"`, "raw", `{}`)))
				if got := textOf(a.response); got != `{"jsonrpc":"2.0","id":"me","result":{"n":1.0}}` || len(a.before) != 1 || a.before[0].Method != mcp.LogMessage {
					t.Errorf("got %s after %v", got, a.before)
				}
				if got := <-heard; got != mcp.ToolsChanged {
					t.Errorf("heard %s", got)
				}
			}
		})
	}
}

// Arrays that are none of that are no answers, and end the call with an error.
func TestCorner5_26_BatchesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		revision, array string
	}{
		"of another revision": {"2025-06-18", `[{"jsonrpc":"2.0","id":ID,"result":{}}]`},
		"empty":               {"2025-03-26", `[]`},
		"no messages":         {"2025-03-26", `[1,[{"jsonrpc":"2.0","id":ID,"result":{}}]]`},
		"without the answer":  {"2025-03-26", `[{"jsonrpc":"2.0","id":99,"result":{}}]`},
		"broken":              {"2025-03-26", `[{"jsonrpc":"2.0","id":ID,"result":{}}`},
		"an odd message":      {"2025-03-26", `[{"jsonrpc":"1.0","id":ID,"result":{}}]`},
		"too many":            {"2025-03-26", `[` + strings.Repeat(`{"jsonrpc":"2.0","method":"x"},`, maxBatch) + `{"jsonrpc":"2.0","id":ID,"result":{}}]`},
	} {
		for _, stream := range []bool{false, true} {
			s := newServer(t, remote(t, batching(tt.revision, stream, func(id string) string { return strings.ReplaceAll(tt.array, "ID", id) })))
			if a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`))); err == nil {
				t.Errorf("%s: got %s", name, textOf(a.response))
			}
		}
	}
}
