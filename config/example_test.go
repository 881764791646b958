package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/headgate/headgate/config"
)

// The example has sections that are commented out, because they would change what
// happens. They must be right all the same.
func TestTheExamplesAuthIsValid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../headgate.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?m)^# auth:\n(#   .*\n)+|^# tls: .*\n`)
	found := 0
	text := section.ReplaceAllStringFunc(string(data), func(s string) string {
		found++
		return regexp.MustCompile(`(?m)^# `).ReplaceAllString(s, "")
	})
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, func(name string) (string, bool) {
		value, ok := map[string]string{"DEV_KEY": "0123456789abcdef", "IDP_SECRET": "secret", "SEARCH_TOKEN": "token"}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != 2 || c.Auth == nil || len(c.Auth.Keys) != 2 || len(c.Auth.JWT) != 2 || len(c.Auth.Introspection) != 1 || len(c.Auth.Certificates) != 1 {
		t.Errorf("%d sections, auth %+v", found, c.Auth)
	}
}
