package catalog

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var conforming = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func TestCorner5_4_CanonicalNames(t *testing.T) {
	t.Parallel()
	tests := []struct{ upstream, own, want string }{
		{"files", "read", "files__read"},
		{"files", "read-all_now", "files__read-all_now"},
		{"go", "greet (content with ResourceLink)", "go__greet__content_with_ResourceLink_"},
		{"a", "über/weg", "a___ber_weg_"},
	}
	for _, tt := range tests {
		got := Canonical(tt.upstream, tt.own)
		if !strings.HasPrefix(got, tt.want) || !conforming.MatchString(got) {
			t.Errorf("Canonical(%q, %q) = %q, want %q…", tt.upstream, tt.own, got, tt.want)
		}
		if again := Canonical(tt.upstream, tt.own); again != got {
			t.Errorf("a second time %q, then %q", got, again)
		}
	}
	if a, b := Canonical("u", "a b"), Canonical("u", "a.b"); a == b {
		t.Errorf("names that are mapped alike are both %q", a)
	}
	long := strings.Repeat("x", 80)
	if a, b := Canonical("u", long), Canonical("u", long+"y"); a == b || len(a) > 64 {
		t.Errorf("long names: %q and %q", a, b)
	}
}

func TestCorner5_4_CanonicalNamesAreNeverShared(t *testing.T) {
	t.Parallel()
	upstream := rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,6}[a-z0-9])?`).Filter(func(s string) bool {
		return !strings.Contains(s, "__")
	})
	own := rapid.OneOf(rapid.StringMatching(`[a-z_-]{1,8}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		u1, u2 := upstream.Draw(t, "u1"), upstream.Draw(t, "u2")
		o1, o2 := own.Draw(t, "o1"), own.Draw(t, "o2")
		n1, n2 := Canonical(u1, o1), Canonical(u2, o2)
		if !conforming.MatchString(n1) {
			t.Fatalf("%q is no conforming name", n1)
		}
		if n1 == n2 && (u1 != u2 || o1 != o2) {
			t.Fatalf("%q of %q and %q of %q are both %q", o1, u1, o2, u2, n1)
		}
	})
}

// What is the gateway's own is called by its own name, which is never an upstream's.
func TestNamesOfTheGatewaysOwn(t *testing.T) {
	t.Parallel()
	if got := Bare("invoke_llama-70b"); got != "invoke_llama-70b" {
		t.Errorf("a good name becomes %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[a-z_/:.-]{1,80}`), rapid.String())
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		x, y := Bare("invoke_"+a), Bare("invoke_"+b)
		if !conforming.MatchString(x) || strings.Contains(x, separator) {
			t.Fatalf("%q is no name of the gateway's own", x)
		}
		if x == y && a != b {
			t.Fatalf("%q and %q are both %q", a, b, x)
		}
	})
}
