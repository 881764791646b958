package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const settingsBefore = `
version: 1
listen: 127.0.0.1:1
upstreams:
  a: {url: "http://127.0.0.1:2/mcp", headers: {Authorization: "Bearer first-secret-value"}, timeout: 5s}
  b: {command: server, args: [--token, "argument-secret-1"], env: {TOKEN: "hidden"}}
limits:
  - {name: calls, scope: key, unit: requests, rate: 20/s}
`

func loaded(t *testing.T, text string) *Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	c.DataDir = "data" // each file has its own
	return c
}

func TestCompareSaysWhatIsDifferent(t *testing.T) {
	t.Parallel()
	before := loaded(t, settingsBefore)
	for name, tt := range map[string]struct {
		replace []string
		want    []string
	}{
		"nothing":            {replace: []string{"\nlisten", "\n\n# moved\nlisten"}},
		"a value":            {replace: []string{"timeout: 5s", "timeout: 6s"}, want: []string{"upstreams.a.timeout changed: 5s → 6s"}},
		"a secret":           {replace: []string{"first-secret", "other-secret"}, want: []string{"upstreams.a.headers.Authorization changed (a secret)"}},
		"a secret argument":  {replace: []string{"argument-secret-1", "argument-secret-2"}, want: []string{"upstreams.b.args changed (a secret)"}},
		"a variable":         {replace: []string{"hidden", "HIDDEN"}, want: []string{"upstreams.b.env.TOKEN changed (a secret)"}},
		"an upstream went":   {replace: []string{"  b: {command", "  #b: {command"}, want: []string{"upstreams.b removed"}},
		"an upstream came":   {replace: []string{"limits:", "  c: {command: third, args: [x]}\nlimits:"}, want: []string{"upstreams.c added"}},
		"a section came":     {replace: []string{"limits:", "cache: {max_size: 2MiB}\nlimits:"}, want: []string{"cache.max_size added: 2MiB"}},
		"a rate":             {replace: []string{"20/s", "21/s"}, want: []string{"limits.calls.burst changed: 20 → 21", "limits.calls.rate changed: 20 per 1s → 21 per 1s"}},
		"a rule with a when": {replace: []string{"limits:", "access:\n  - {deny: [\"tools/call:a__x\"], when: 'method == \"x\"'}\nlimits:"}, want: []string{`access.[0] added`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := loaded(t, strings.NewReplacer(tt.replace...).Replace(settingsBefore))
			changes := Compare(before.Settings(), after.Settings())
			var got []string
			for _, c := range changes {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			text, err := json.Marshal(changes)
			if err != nil || strings.Contains(string(text), "secret-") || strings.Contains(strings.ToLower(string(text)), "hidden") {
				t.Errorf("%s, %v", text, err)
			}
			same := Fingerprint(before.Settings()) == Fingerprint(after.Settings())
			if same != (len(tt.want) == 0) {
				t.Errorf("the fingerprints are equal: %v", same)
			}
		})
	}
}

// What is shown of a configuration must not let anybody find out what is not.
func TestDigestsLeaveSecretsOut(t *testing.T) {
	t.Parallel()
	before, after := loaded(t, settingsBefore), loaded(t, strings.ReplaceAll(settingsBefore, "first-secret", "other-secret"))
	if Digest(before.Settings()) != Digest(after.Settings()) {
		t.Error("the digest tells secrets apart")
	}
	after = loaded(t, strings.ReplaceAll(settingsBefore, "5s", "6s"))
	if Digest(before.Settings()) == Digest(after.Settings()) {
		t.Error("the digest does not tell timeouts apart")
	}
}

func TestTheOrderOfUpstreamsIsASetting(t *testing.T) {
	t.Parallel()
	one := loaded(t, "version: 1\nupstreams: {a: {command: x}, b: {command: y}}")
	two := loaded(t, "version: 1\nupstreams: {b: {command: y}, a: {command: x}}")
	changes := Compare(one.Settings(), two.Settings())
	if len(changes) != 1 || changes[0].String() != "upstreams (order) changed: a, b → b, a" {
		t.Errorf("%v", changes)
	}
}
