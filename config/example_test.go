package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
)

// The example has sections that are commented out, because they would change what
// happens. They must be right all the same.
func TestTheExamplesSectionsAreValid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../headgate.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?m)^ *# (auth|access|limits|models|cache|priorities|traces): *(#.*)?\n( *#   .*\n)+|^# (tls|audit): .*\n`)
	found := 0
	text := section.ReplaceAllStringFunc(string(data), func(s string) string {
		found++
		return regexp.MustCompile(`(?m)^( *)# `).ReplaceAllString(s, "$1")
	})
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, func(name string) (string, bool) {
		value, ok := map[string]string{"DEV_KEY": "0123456789abcdef", "IDP_SECRET": "secret", "SEARCH_TOKEN": "token", "COLLECTOR_TOKEN": "token"}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != 9 || c.Telemetry.Traces == nil || c.Auth == nil || len(c.Auth.Keys) != 2 || len(c.Auth.JWT) != 2 || len(c.Auth.Introspection) != 1 || len(c.Auth.Certificates) != 1 {
		t.Errorf("%d sections, auth %+v", found, c.Auth)
	}
	if len(c.Models) != 2 || len(c.Models[0].Backends) != 2 || len(c.Warnings) > 0 {
		t.Errorf("models %+v, warnings %v", c.Models, c.Warnings)
	}
	if len(c.Access) != 3 || len(c.Priorities) != 2 || len(c.Limits) != 9 || c.Cache == nil || c.Audit == nil {
		t.Errorf("access %+v, limits %+v, cache %+v, audit %+v", c.Access, c.Limits, c.Cache, c.Audit)
	}
}

// What the documentation shows of the configuration can be copied from it.
func TestTheDocumentedPoliciesAreValid(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]struct{ access, limits, models int }{"policies.md": {3, 6, 0}, "tokens.md": {0, 4, 1}} {
		data, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text := "version: 1\n"
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
			text += block[1]
		}
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Access) != want.access || len(c.Limits) != want.limits || len(c.Models) != want.models || len(c.Warnings) > 0 {
			t.Errorf("%s: access %+v, limits %+v, models %+v, warnings %v", page, c.Access, c.Limits, c.Models, c.Warnings)
		}
		if page == "policies.md" && (c.Cache == nil || c.Audit == nil) {
			t.Errorf("%s: cache %+v, audit %+v", page, c.Cache, c.Audit)
		}
	}
}

// What the documentation shows of models, and of rules about them, can be copied from it.
func TestTheDocumentedModelsAreValid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	text := "version: 1\n"
	for _, block := range regexp.MustCompile("(?s)```yaml\n((?:models|routes):\n.*?)```").FindAllStringSubmatch(string(data), -1) {
		text += block[1]
		if strings.HasPrefix(block[1], "models") { // of which further blocks show more, each of the last one
			for _, more := range regexp.MustCompile("(?s)```yaml\n(    [a-z].*?)```").FindAllStringSubmatch(string(data), -1) {
				text += more[1]
			}
		}
	}
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, environment)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Models) != 2 || len(c.Routes) != 2 || c.Models[1].MaxInFlight != 16 || c.Models[1].WarmUp.At != "first-call" || len(c.Warnings) > 0 {
		t.Errorf("models %+v, routes %+v, warnings %v", c.Models, c.Routes, c.Warnings)
	}
}
