package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
)

// What the documentation shows of queues and retries can be copied from it.
func TestTheDocumentedQueuesAreValid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/admission.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	var upstream, rest string
	for _, block := range blocks {
		if text := block[1]; strings.HasPrefix(text, "upstreams:") || strings.HasPrefix(text, " ") {
			upstream += text
		} else {
			rest += text
		}
	}
	c, err := load(t, "version: 1\n"+upstream+rest)
	if err != nil {
		t.Fatal(err)
	}
	u, standard := c.Upstreams[0], config.Default().Overload
	if u.MaxInFlight != 64 || u.Queue.Size != 1024 || u.Retries() != (config.Retry{Attempts: 3, Budget: 10}) || len(c.Priorities) != 2 || c.Overload != standard {
		t.Errorf("upstream %+v, priorities %+v, overload %+v", u, c.Priorities, c.Overload)
	}
}

// Calls are made again where the file says so, and where there is another backend to make them on.
func TestRetriesFollowTheBackends(t *testing.T) {
	t.Parallel()
	c, err := load(t, `
upstreams:
  one: {url: "https://a.example.com"}
  several: {backends: [{url: "https://a.example.com"}, {url: "https://b.example.com"}]}
  never: {retry: {attempts: 1}, backends: [{url: "https://a.example.com"}, {url: "https://b.example.com"}]}
  program: {command: x, retry: {budget: 20%}}
`)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []config.Retry{{Attempts: 1}, {Attempts: 3, Budget: 10}, {Attempts: 1, Budget: 10}, {Attempts: 3, Budget: 20}} {
		if got := c.Upstreams[i].Retries(); got != want {
			t.Errorf("%s: %+v, want %+v", c.Upstreams[i].Name, got, want)
		}
	}
}

func TestTheFirstPriorityHolds(t *testing.T) {
	t.Parallel()
	rules := []config.Priority{
		{Who: config.Who{Org: "acme", Key: "nightly-*"}, Band: "batch", Weight: 1},
		{Who: config.Who{Org: "acme"}, Band: "interactive", Weight: 3},
	}
	for _, test := range []struct{ org, key, band string }{
		{"acme", "nightly-7", "batch"}, {"acme", "dev", "interactive"}, {"other", "nightly-7", "default"}, {"", "", "default"},
	} {
		if got := config.PriorityOf(rules, test.org, "", test.key, ""); got.Band != test.band || got.Weight < 1 {
			t.Errorf("%s of %q: %+v", test.key, test.org, got)
		}
	}
}
