package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
)

// environment is what the golden files may refer to.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"A": "a", "EMPTY": "", "HOST": "search.example.com", "HOME": "/home/person", "TOKEN": "s3cret", "TRICKY": "${TOKEN} $TOKEN file:x: {y: [z]} # \"",
	}[name]
	return value, ok
}

// report is what a golden file holds: the problems, or the warnings and one line for each upstream.
func report(c *config.Config, err error) string {
	if err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			return "no problems but: " + err.Error() + "\n"
		}
		return problems.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning: %v\n", w)
	}
	for _, u := range c.Upstreams {
		fmt.Fprintf(&b, "upstream %s at %s: command=%q args=%q env=%q dir=%q url=%q transport=%s headers=%v era=%s tools=%q timeout=%s disabled=%q",
			u.Name, u.Position, u.Command, u.Args, u.Env, u.Dir, u.URL, u.Transport, reveal(u.Headers), u.Era, u.Tools, u.Timeout, u.Disabled)
		if u.Pins.Mode != "" {
			fmt.Fprintf(&b, " pins=%s", c.PinMode(u))
		}
		for _, replica := range u.Backends {
			fmt.Fprintf(&b, " backend=%s*%d", replica.URL, replica.Weight)
		}
		if len(u.Backends) > 0 {
			fmt.Fprintf(&b, " balance=%s breaker=%v health=%v slow_start=%s", u.Balance, *u.Breaker, *u.Health, u.SlowStart)
		}
		if u.Sampling != nil {
			fmt.Fprintf(&b, " sampling=%v", *u.Sampling)
		}
		b.WriteByte('\n')
	}
	for i := range c.Models {
		modelReport(&b, &c.Models[i])
	}
	if len(c.TrustedProxies) > 0 {
		fmt.Fprintf(&b, "trusted proxies: %q\n", c.TrustedProxies)
	}
	if c.Auth != nil {
		authReport(&b, c.Auth)
	}
	for _, e := range c.Endpoints {
		fmt.Fprintf(&b, "endpoint %s: prefix=%s upstreams=%q tools=%q", e.Path, e.Prefix, e.Upstreams, e.Tools)
		if e.Models != nil {
			fmt.Fprintf(&b, " models=%q", e.Models)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func modelReport(b *strings.Builder, m *config.Model) {
	fmt.Fprintf(b, "model %s at %s: aliases=%q context=%d price=%v labels=%v balance=%s affinity=%s max_in_flight=%d queue=%v deadlines=%v retry=%v breaker=%v health=%v slow_start=%s warm_up=%v disabled=%q\n",
		m.Name, m.Position, m.Aliases, m.Context, m.Price, m.Labels, m.Balance, m.PrefixAffinity, m.MaxInFlight, m.Queue, m.Deadlines, m.Retry, m.Breaker,
		m.Health != nil, m.SlowStart, m.WarmUp, m.Disabled)
	for _, r := range m.Backends {
		fmt.Fprintf(b, "  backend %s at %s: headers=%v weight=%d max_in_flight=%d stream_usage=%v prompts=%s keep_alive=%s disabled=%q\n",
			r.Key(), r.Position, reveal(r.Headers), r.Weight, r.MaxInFlight, r.StreamUsage, r.Prompts, r.KeepAlive, r.Disabled)
	}
}

func authReport(b *strings.Builder, a *config.Auth) {
	fmt.Fprintf(b, "auth: resource=%q scopes=%q anonymous=%+v\n", a.Resource, a.Scopes, a.Anonymous)
	for _, k := range a.Keys {
		fmt.Fprintf(b, "key %s at %s: key=%q hash=%s org=%q team=%q user=%q scopes=%q disabled=%q\n",
			k.ID, k.Position, k.Key.Reveal(), k.Hash, k.Org, k.Team, k.User, k.Scopes, k.Disabled)
	}
	for _, j := range a.JWT {
		fmt.Fprintf(b, "jwt %s at %s: audience=%q jwks_uri=%q key=%v secret=%q algorithms=%q claims=%q private=%v\n",
			j.Issuer, j.Position, j.Audience, j.JWKSURI, j.Key != "", j.Secret.Reveal(), j.Algorithms, j.Claims, j.AllowPrivate)
	}
	for _, i := range a.Introspection {
		fmt.Fprintf(b, "introspection %s at %s: client=%q secret=%q cache=%s issuer=%q audience=%q claims=%q private=%v\n",
			i.URL, i.Position, i.ClientID, i.ClientSecret.Reveal(), i.Cache, i.Issuer, i.Audience, i.Claims, i.AllowPrivate)
	}
	for _, c := range a.Certificates {
		fmt.Fprintf(b, "certificate %s at %s: org=%q team=%q scopes=%q\n", c.Name, c.Position, c.Org, c.Team, c.Scopes)
	}
}

func reveal(headers map[string]config.Secret) map[string]string {
	shown := map[string]string{}
	for k, v := range headers {
		shown[k] = v.Reveal()
	}
	return shown
}

// compareGolden compares text with FILE.want, or writes it there.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got = strings.ReplaceAll(got, here, "HERE")
	golden := file + ".want"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// goldenInputs returns the input files of a folder, without what was expected of them.
func goldenInputs(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var inputs []string
	for _, f := range files {
		if !strings.HasSuffix(f, ".want") && !strings.HasSuffix(f, ".native") {
			inputs = append(inputs, f)
		}
	}
	if len(inputs) == 0 {
		t.Fatalf("no files match %s", pattern)
	}
	return inputs
}

func TestLoadGolden(t *testing.T) {
	t.Parallel()
	for _, file := range goldenInputs(t, "testdata/load/*") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(file, environment)
			if bad := strings.HasPrefix(filepath.Base(file), "bad_"); bad != (err != nil) {
				t.Errorf("Load: %v", err)
			}
			compareGolden(t, file, report(c, err))
		})
	}
}
