package mcp_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestRevisions(t *testing.T) {
	t.Parallel()
	want := []rpc.Revision{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}
	if diff := cmp.Diff(want, mcp.Supported()); diff != "" {
		t.Errorf("supported (-want +got):\n%s", diff)
	}
	// Streamable HTTP, batches, version header, mirrored headers, resultType, any structured content.
	traits := map[rpc.Revision][6]bool{
		"2024-11-05": {},
		"2025-03-26": {true, true},
		"2025-06-18": {true, false, true},
		"2025-11-25": {true, false, true},
		"2026-07-28": {true, false, true, true, true, true},
	}
	for r, want := range traits {
		got, ok := mcp.Of(r)
		if !ok || got.Revision != r {
			t.Fatalf("%s is not known", r)
		}
		if has := [6]bool{got.Streamable, got.Batches, got.VersionHeader, got.Mirrored, got.ResultType, got.AnyStructured}; has != want {
			t.Errorf("%s has %v, want %v", r, has, want)
		}
		if modern := r == "2026-07-28"; mcp.IsModern(r) != modern || (got.Era == rpc.Modern) != modern {
			t.Errorf("%s is of the wrong era", r)
		}
	}
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	for asked, want := range map[rpc.Revision]struct {
		agreed rpc.Revision
		era    rpc.Era
	}{
		"2024-11-05":  {"2024-11-05", rpc.Legacy},
		"2025-03-26":  {"2025-03-26", rpc.Legacy},
		"2025-06-18":  {"2025-06-18", rpc.Legacy},
		"2025-11-25":  {"2025-11-25", rpc.Legacy},
		"2026-07-28":  {"2025-11-25", rpc.Modern}, // an initialize of a modern revision is a legacy handshake
		"2099-01-01":  {"2025-11-25", rpc.Modern},
		"1999-01-01":  {"2025-11-25", rpc.Legacy},
		"2025-06-19":  {"2025-11-25", rpc.Legacy},
		"":            {"2025-11-25", rpc.Legacy},
		"2024-11-05 ": {"2025-11-25", rpc.Legacy},
	} {
		if got := mcp.Agree(asked); got != want.agreed {
			t.Errorf("asked for %q, agreed on %s, want %s", asked, got, want.agreed)
		}
		if got := mcp.EraOf(asked); got != want.era {
			t.Errorf("%q is %s, want %s", asked, got, want.era)
		}
	}
	for _, tt := range []struct {
		offered []rpc.Revision
		want    rpc.Revision
	}{
		{nil, ""},
		{[]rpc.Revision{"2025-11-25", "2025-06-18"}, ""},
		{[]rpc.Revision{"2026-07-28"}, "2026-07-28"},
		{[]rpc.Revision{"2025-11-25", "2099-01-01", "2026-07-28"}, "2026-07-28"},
		{[]rpc.Revision{"2099-01-01"}, ""},
	} {
		if got := mcp.PickModern(tt.offered); got != tt.want {
			t.Errorf("of %v picked %q, want %q", tt.offered, got, tt.want)
		}
	}
}

func TestMethodsByRevision(t *testing.T) {
	t.Parallel()
	all := mcp.Supported()
	legacy := all[1:]
	modern := all[:1]
	tests := map[string]struct {
		in   []rpc.Revision
		want rpc.Method // but for Since and Until
	}{
		"initialize":                       {legacy, rpc.Method{Dest: rpc.Gateway}},
		"ping":                             {legacy, rpc.Method{Dest: rpc.Gateway}},
		"server/discover":                  {modern, rpc.Method{Dest: rpc.Gateway}},
		"tools/list":                       {all, rpc.Method{Dest: rpc.Every, Idempotent: true, Cacheable: true}},
		"tools/call":                       {all, rpc.Method{Dest: rpc.Owner, Subject: "name"}},
		"prompts/list":                     {all, rpc.Method{Dest: rpc.Every, Idempotent: true, Cacheable: true}},
		"prompts/get":                      {all, rpc.Method{Dest: rpc.Owner, Idempotent: true, Subject: "name"}},
		"resources/list":                   {all, rpc.Method{Dest: rpc.Every, Idempotent: true, Cacheable: true}},
		"resources/templates/list":         {all, rpc.Method{Dest: rpc.Every, Idempotent: true, Cacheable: true}},
		"resources/read":                   {all, rpc.Method{Dest: rpc.Owner, Idempotent: true, Cacheable: true, Subject: "uri"}},
		"completion/complete":              {all, rpc.Method{Dest: rpc.Owner, Idempotent: true}},
		"subscriptions/listen":             {modern, rpc.Method{Dest: rpc.Gateway}},
		"resources/subscribe":              {legacy, rpc.Method{Dest: rpc.Gateway}},
		"resources/unsubscribe":            {legacy, rpc.Method{Dest: rpc.Gateway}},
		"logging/setLevel":                 {legacy, rpc.Method{Dest: rpc.Holder}},
		"notifications/initialized":        {legacy, rpc.Method{Dest: rpc.Holder}},
		"notifications/cancelled":          {all, rpc.Method{Dest: rpc.Holder}},
		"notifications/progress":           {legacy, rpc.Method{Dest: rpc.Holder}},
		"notifications/roots/list_changed": {legacy, rpc.Method{Dest: rpc.Holder}},
	}
	for name, tt := range tests {
		for _, r := range all {
			row, ok := mcp.Lookup(name, r)
			if ok != slices.Contains(tt.in, r) {
				t.Errorf("%s in %s: found is %v", name, r, ok)
			}
			if !ok {
				continue
			}
			got := *row
			got.Since, got.Until, tt.want.Name = "", "", name
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if !mcp.Known(name) {
			t.Errorf("%s is not known", name)
		}
	}
}

// TestNobodyCanNameEdgeMethods keeps clients from making the calls that the edge
// makes of HTTP requests.
func TestNobodyCanNameEdgeMethods(t *testing.T) {
	t.Parallel()
	for _, name := range []string{mcp.SessionConnect, mcp.SessionPost, mcp.SessionResume, mcp.SessionCheck, mcp.SessionAnswer, mcp.SessionStream, mcp.SessionEnd} {
		row := mcp.EdgeMethod(name)
		if row == nil || row.Name != name || row.Dest != rpc.Holder {
			t.Errorf("the edge's own %s is %+v", name, row)
		}
		for _, r := range mcp.Supported() {
			if _, ok := mcp.Lookup(name, r); ok {
				t.Errorf("a client of %s can name %s", r, name)
			}
		}
	}
	for _, name := range []string{"", "tools/call ", "Tools/Call", "tools", "vendor/x", "tools/list"} {
		if mcp.EdgeMethod(name) != nil {
			t.Errorf("%q is an edge method", name)
		}
		if known := mcp.Known(name); known != (name == "tools/list") {
			t.Errorf("%q known: %v", name, known)
		}
		if row := mcp.Foreign(name); row.Name != name || row.Dest != rpc.Owner || row.Idempotent || row.Cacheable || row.Subject != "" {
			t.Errorf("foreign method %+v", row)
		}
	}
}

func TestMirroredSubject(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]rpc.Field{
		"tools/call": "name", "prompts/get": "name", "resources/read": "uri",
		"tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId",
		"tools/list": "", "server/discover": "", "tasks/list": "", "resources/subscribe": "", "": "", "TOOLS/CALL": "",
	} {
		if got := mcp.MirroredSubject(method); got != want {
			t.Errorf("%s mirrors %q, want %q", method, got, want)
		}
	}
}
