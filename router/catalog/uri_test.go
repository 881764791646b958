package catalog

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCorner5_6_QualifiedURIs(t *testing.T) {
	t.Parallel()
	for own, want := range map[string]string{
		"ui://clock/view":        "ui://up+clock/view",
		"file:///a":              "file://up+/a",
		"file:///{+path}":        "file://up+/{+path}", // the expression stays one
		"urn:isbn:1":             "urn:up+isbn:1",
		"{scheme}://x":           "up+{scheme}://x",
		"plain":                  "up+plain",
		"HTTP://Host/%41%2f?q#f": "HTTP://up+Host/%41%2f?q#f", // never normalised
		"":                       "up+",
		"1a://x":                 "up+1a://x",
		"git+ssh://x":            "up+git+ssh://x",
		"b.c-1://x":              "b.c-1://up+x",
	} {
		if got := qualify("up", own); got != want {
			t.Errorf("%q is shown as %q, want %q", own, got, want)
		}
	}
}

func TestQualifyingCanBeUndone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{0,3}:?/{0,3}[a-z+:/{}]{0,12}`)).Draw(t, "uri")
		upstream := rapid.StringMatching(`[a-z][a-z0-9_-]{0,8}`).Draw(t, "upstream")
		gotUpstream, gotOwn, ok := unqualify(qualify(upstream, own))
		if !ok || gotUpstream != upstream || gotOwn != own {
			t.Errorf("%q of %s comes back as %q of %q, %v", own, upstream, gotOwn, gotUpstream, ok)
		}
	})
}
