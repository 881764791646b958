package mcpserver

import (
	"net/http"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// A server of both eras is spoken to in the client's own, but for legacy clients that it could ask only in a session
// which it does not open.
func TestServerOfBothErasAsksWhereItCan(t *testing.T) {
	t.Parallel()
	asked := modernClient()
	asked.Capabilities = asking("").Capabilities
	for name, tt := range map[string]struct {
		session     string
		asking      rpc.Revision // what is spoken for legacy clients that can be asked
		initializes int
	}{
		"with sessions":    {"session-1", "2025-06-18", 3}, // one each, and one that others share
		"without sessions": {"", mcp.LatestModern, 2},      // one that told so, and one that others share
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &script{
				discover: func(w http.ResponseWriter, id string) {
					answerJSON(w, 200, result(id, `{"resultType":"complete","supportedVersions":["2026-07-28","2025-06-18"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}`))
				},
				initial: func(w http.ResponseWriter, id string) {
					if tt.session != "" {
						w.Header().Set("Mcp-Session-Id", tt.session)
					}
					answerJSON(w, 200, initialized(id))
				},
				answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
			}
			s := newServer(t, remote(t, h))
			for _, step := range []struct {
				client rpc.Client
				text   string
				want   rpc.Revision
			}{
				{asking("a"), toolCall("1", "x", `{}`), tt.asking},
				{asking("b"), toolCall("1", "x", `{}`), tt.asking},
				{asking("a"), toolCall("2", "x", `{}`), tt.asking},
				{legacyClient(), toolCall("1", "x", `{}`), "2025-06-18"},
				{asked, modernToolCall("1", "x", `{}`), mcp.LatestModern},
			} {
				if got := mustRun(t, s, newCall(t, step.client, step.text)).revision; got != step.want {
					t.Errorf("%s client %q: %s, want %s", step.client.Era, step.client.Session, got, step.want)
				}
			}
			if n := len(h.find("POST", "initialize")); n != tt.initializes {
				t.Errorf("%d handshakes, want %d", n, tt.initializes)
			}
			if got := s.State(); got.Status != Up || got.Era != rpc.Modern {
				t.Errorf("state %+v", got)
			}
		})
	}
}
