package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// A client is told of changes in the lists that initialize offered to it, for as long as its session lasts, on
// whichever replica and after whatever restart.
func TestCorner5_21_ChangesAreToldOfWhatWasOffered(t *testing.T) {
	t.Parallel()
	all := []string{mcp.ToolsChanged, mcp.PromptsChanged, mcp.ResourcesChanged, "notifications/x"}
	for name, tt := range map[string]struct {
		answer *rpc.Message
		want   []string
	}{
		"everything":    {rpc.NewResult(rpc.NumberID(1), []byte(`{"capabilities":{"tools":{},"prompts":{},"resources":{}}}`)), all},
		"tools alone":   {rpc.NewResult(rpc.NumberID(1), []byte(`{"capabilities":{"tools":{"listChanged":true}}}`)), []string{all[0], all[3]}},
		"nothing":       {rpc.NewResult(rpc.NumberID(1), []byte(`{"capabilities":{}}`)), all[3:]},
		"who knows":     {nil, all},
		"what is this?": {rpc.NewResult(rpc.NumberID(1), []byte(`{"capabilities":[]}`)), all},
	} {
		keys := keyring(t)
		id, err := registry(t, Config{}, keys).Open(t.Context(), client, alice, "/mcp", tt.answer)
		if err != nil {
			t.Fatal(err)
		}
		r := registry(t, Config{}, keys)
		s := resumed(t, r, id)
		for _, method := range all {
			r.Broadcast(everywhere, rpc.NewNotification(method, nil))
		}
		got := []string{}
		for _, m := range s.pending {
			got = append(got, m.Method)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
