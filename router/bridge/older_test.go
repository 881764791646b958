package bridge

import (
	"context"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestContentForClientsOfTheFirstRevisions(t *testing.T) {
	t.Parallel()
	const (
		link  = `{"type":"resource_link","uri":"file:///a","name":"A"}`
		audio = `{"type":"audio","mimeType":"audio/wav","data":"AA=="}`
		plain = `{"type":"hologram", "n":1.0}`
		said  = `{"type":"text","text":"Resource A: file:///a"}`
		heard = `{"type":"text","text":"Audio (audio/wav), which this client's protocol revision cannot carry."}`
	)
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`
	const prompt = `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"t"}}`
	for _, tt := range []struct {
		name           string
		client, server rpc.Revision
		request        string
		in, want       string
	}{
		{"2024-11-05", "2024-11-05", mcp.LatestLegacy, call, `{"content":[` + link + `, ` + audio + `,` + plain + `]}`, `{"content":[` + said + `,` + heard + `,` + plain + `]}`},
		{"2025-03-26", "2025-03-26", mcp.LatestLegacy, call, `{"content":[` + link + `,` + audio + `]}`, `{"content":[` + said + `,` + audio + `]}`},
		{"2025-06-18", "2025-06-18", mcp.LatestLegacy, call, `{"content":[` + link + `, ` + audio + `]}`, `{"content":[` + link + `, ` + audio + `]}`},
		{"a server of the same revision", "2024-11-05", "2024-11-05", call, `{"content":[` + link + `]}`, `{"content":[` + link + `]}`},
		{"nothing to change", "2024-11-05", mcp.LatestLegacy, call, `{"content":[ ` + plain + ` ,7]}`, `{"content":[ ` + plain + ` ,7]}`},
		{"a modern server", "2024-11-05", mcp.LatestModern, call, `{"resultType":"complete","content":[` + link + `]}`, `{"content":[` + said + `]}`},
		{"structured content beside a link", "2024-11-05", mcp.LatestModern, call, `{"content":[` + link + `],"structuredContent":7}`, `{"content":[` + said + `,{"type":"text","text":"7"}]}`},
		{"a prompt", "2024-11-05", mcp.LatestLegacy, prompt, `{"messages":[{"role":"user","content":` + audio + `},{"role":"user","content":` + plain + `}]}`, `{"messages":[{"role":"user","content":` + heard + `},{"role":"user","content":` + plain + `}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
				m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"result":`+tt.in+`}`), rpc.Limits{})
				if err != nil {
					return nil, err
				}
				reply := rpc.Respond(m)
				reply.Revision = tt.server
				return reply, nil
			})
			_, got := play(t, server, callOf(t, tt.client, `{}`, tt.request), accept)
			if want := `{"jsonrpc":"2.0","id":1,"result":` + tt.want + `}`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}
