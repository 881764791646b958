package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/headgate/headgate/config"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	type holder struct {
		Secret  config.Secret
		Headers map[string]config.Secret
	}
	h := holder{Secret: canary, Headers: map[string]config.Secret{"A": canary}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%5s", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", h.Secret)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	out.Write(asYAML)
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("x", "secret", h.Secret, "holder", h, "upstream", config.Upstream{
			Name: "a", Headers: h.Headers, Env: map[string]string{"TOKEN": canary}, Args: []string{canary}, URL: "https://x?token=" + canary,
		})
	}
	fmt.Fprintln(&out, h.Secret, h.Headers, fmt.Errorf("%w: %s", fmt.Errorf("%v", h.Secret), h.Secret))
	if text := out.String(); strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret was printed:\n%s", text)
	}
	if h.Secret.Reveal() != canary {
		t.Error("Reveal does not give the secret")
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	good := map[string]config.Size{
		"0": 0, "0B": 0, "1": 1, "1B": 1, "1023": 1023, "1KiB": 1024, "1024": config.KiB, "4MiB": 4 * config.MiB, "1024KiB": config.MiB, "3GiB": 3 * config.GiB,
		"8589934591GiB": 8589934591 * config.GiB, "007KiB": 7 * config.KiB,
	}
	for text, want := range good {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
		again, err := config.ParseSize(got.String())
		if err != nil || again != got {
			t.Errorf("%q prints as %q, which is %d (%v)", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "B", "MiB", "-1", "+1", "1.5MiB", "1 MiB", " 1", "1MB", "1mib", "1TiB", "0x10", "1e3", "8589934592GiB", "9223372036854775808", "1MiBMiB", "1_000", "∞", "1KiB5",
	} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is accepted as %d", text, got)
		}
	}
}

func TestSizePrintsTheLargestExactUnit(t *testing.T) {
	t.Parallel()
	for size, want := range map[config.Size]string{0: "0B", 1: "1B", 1025: "1025B", config.KiB: "1KiB", 1536 * config.KiB: "1536KiB", 2 * config.GiB: "2GiB"} {
		if size.String() != want {
			t.Errorf("%d prints as %s, want %s", int64(size), size, want)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		allow, deny []string
		name        string
		want        bool
	}{
		{name: "anything", want: true},
		{name: "", want: true},
		{allow: []string{"a"}, name: "a", want: true},
		{allow: []string{"a"}, name: "ab"},
		{allow: []string{"a"}, name: "A"},
		{allow: []string{"a", "b"}, name: "b", want: true},
		{allow: []string{"*"}, name: "", want: true},
		{allow: []string{"*"}, name: "a__b", want: true},
		{allow: []string{"find_*"}, name: "find_", want: true},
		{allow: []string{"find_*"}, name: "find"},
		{allow: []string{"*_delete"}, name: "x_delete", want: true},
		{allow: []string{"*_delete"}, name: "x_delete_all"},
		{allow: []string{"a*b*c"}, name: "aXbYbZc", want: true},
		{allow: []string{"a*b*c"}, name: "aXbYbZcd"},
		{allow: []string{"**a**"}, name: "bab", want: true},
		{allow: []string{"?"}, name: "a", want: true},
		{allow: []string{"?"}, name: ""},
		{allow: []string{"?"}, name: "é", want: true},
		{allow: []string{"??"}, name: "é"},
		{allow: []string{"*?x"}, name: "éx", want: true},
		{allow: []string{"a?c"}, name: "abc", want: true},
		{allow: []string{"get weather (v2)"}, name: "get weather (v2)", want: true},
		{allow: []string{"[a-z]"}, name: "a"},
		{allow: []string{"[a-z]"}, name: "[a-z]", want: true},
		{allow: []string{`\*`}, name: "*"},
		{deny: []string{"a*"}, name: "ab"},
		{deny: []string{"a*"}, name: "b", want: true},
		{allow: []string{"a*"}, deny: []string{"ab"}, name: "ab"},
		{allow: []string{"a*"}, deny: []string{"ab"}, name: "ac", want: true},
		{allow: []string{"\xff*"}, name: "\xffa", want: true},
	}
	for _, test := range tests {
		f := config.Filter{Allow: test.allow, Deny: test.deny}
		if got := f.Allows(test.name); got != test.want {
			t.Errorf("allow %q, deny %q: %q is %v", test.allow, test.deny, test.name, got)
		}
	}
}

// TestFilterIsNotExponential matches a pattern that backtracking matchers take for ever on.
func TestFilterIsNotExponential(t *testing.T) {
	t.Parallel()
	f := config.Filter{Allow: []string{strings.Repeat("a*", 200) + "b"}}
	if f.Allows(strings.Repeat("a", 5000)) {
		t.Error("the pattern matches")
	}
}

func TestFilterAllocatesNothing(t *testing.T) {
	f := config.Filter{Allow: []string{"find_*"}, Deny: []string{"find_every?hing"}}
	if n := testing.AllocsPerRun(100, func() { f.Allows("find_something") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
