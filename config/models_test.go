package config_test

import (
	"testing"

	"github.com/headgate/headgate/config"
)

func TestFindModel(t *testing.T) {
	t.Parallel()
	models := []config.Model{{Name: "*-b"}, {Name: "a-b", Aliases: []string{"default"}}, {Name: "x", Aliases: []string{"x-b"}}, {Name: "*"}}
	for asked, want := range map[string][2]string{
		"a-b":     {"a-b", "a-b"}, // a name before a glob that stands before it
		"default": {"a-b", "a-b"},
		"x-b":     {"x", "x"}, // an alias before a glob
		"y-b":     {"y-b", "*-b"},
		"other":   {"other", "*"},
		"*-b":     {}, // a glob is no name
		"":        {},
	} {
		canonical, entry := config.FindModel(models, asked)
		got := [2]string{canonical}
		if entry != nil {
			got[1] = entry.Name
		}
		if got != want {
			t.Errorf("%q: %q, want %q", asked, got, want)
		}
	}
	if name, entry := config.FindModel(models[:3], "unknown"); entry != nil {
		t.Errorf("unknown is %s", name)
	}
}

func TestSecretsOfModels(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/load/good_models.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	secrets := c.Secrets()
	if len(secrets) != 1 || secrets[0] != "s3cret" {
		t.Errorf("secrets are %q", secrets)
	}
	for _, s := range c.Settings() {
		if s.Value == "Bearer s3cret" && !s.Secret {
			t.Errorf("%s is shown", s.Path)
		}
	}
}
