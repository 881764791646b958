package gateway

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/modeltool"
)

var someModels = []config.Model{
	{Name: "llama-70b", Aliases: []string{"default"}, Context: 4096}, {Name: "llama-8b", Disabled: "no key"}, {Name: "Claude-mini"}, {Name: "small-*"},
}

func TestModelsThatEndpointsShow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ patterns, want []string }{
		"all":            {[]string{"*"}, []string{"llama-70b", "Claude-mini"}},
		"by a glob":      {[]string{"llama-*"}, []string{"llama-70b"}},
		"by an alias":    {[]string{"default", "llama-70b"}, []string{"llama-70b"}},
		"of a glob":      {[]string{"small-1b", "small-*"}, []string{"small-1b"}},
		"switched off":   {[]string{"llama-8b"}, nil},
		"in their order": {[]string{"Claude-mini", "*"}, []string{"Claude-mini", "llama-70b"}},
	} {
		var got []string
		for _, m := range shownModels(someModels, test.patterns) {
			got = append(got, m.Name)
			if (m == modeltool.Model{Name: "llama-70b"}) {
				t.Errorf("%s: nobody is told how much llama-70b takes", name)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHintsLeadToModels(t *testing.T) {
	t.Parallel()
	all := []string{"*"}
	for name, test := range map[string]struct {
		patterns []string
		hint     string
		want     string
	}{
		"none allowed":    {nil, "llama-70b", ""},
		"whole":           {all, "llama-70b", "llama-70b"},
		"part":            {all, "70b", "llama-70b"},
		"other case":      {all, "claude", "Claude-mini"},
		"not allowed":     {[]string{"small-*"}, "claude", ""},
		"served by globs": {[]string{"small-*"}, "small-1b", "small-1b"},
		"alias":           {all, "default", "llama-70b"},
		"switched off":    {all, "llama-8b", ""},
		"nobody's":        {all, "gpt", ""},
	} {
		if got := hinted(someModels, test.patterns, test.hint); got != test.want {
			t.Errorf("%s: %q leads to %q, want %q", name, test.hint, got, test.want)
		}
	}
}
