package mcpserver

import (
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestStdioSpeaksTheErasOfItsServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script, era    string
		legacy, modern rpc.Revision // spoken for a client of that era
	}{
		{"legacy", "auto", "2025-06-18", "2025-06-18"},
		{"legacy", "legacy", "2025-06-18", "2025-06-18"},
		{"fake-legacy", "auto", "2025-11-25", "2025-11-25"},
		{"fake-modern", "auto", "2026-07-28", "2026-07-28"},
		{"fake-modern", "modern", "2026-07-28", "2026-07-28"},
		{"fake-both", "auto", "2025-11-25", "2026-07-28"},
		{"fake-both", "legacy", "2025-11-25", "2025-11-25"},
		{"sdk", "auto", "2025-11-25", "2026-07-28"},
		{"sdk", "legacy", "2025-11-25", "2025-11-25"},
		{"sdk", "modern", "2026-07-28", "2026-07-28"},
	} {
		t.Run(test.script+" "+test.era, func(t *testing.T) {
			t.Parallel()
			cfg := scripted(test.script)
			cfg.Era = test.era
			s := newServer(t, cfg)
			tool := "echo"
			if test.script == "legacy" {
				tool = "raw"
			}
			if a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"x"`, tool, `{"text":"hi"}`))); a.revision != test.legacy || a.response.Err != nil || a.response.ID.Raw() != `"x"` {
				t.Errorf("legacy client: %s: %s", a.revision, textOf(a.response))
			}
			if a := mustRun(t, s, newCall(t, modernClient(), modernToolCall("1", tool, `{"text":"hi"}`))); a.revision != test.modern || a.response.Err != nil {
				t.Errorf("modern client: %s: %s", a.revision, textOf(a.response))
			}
		})
	}
}
