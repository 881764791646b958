package auth

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

func TestKeysAreAccepted(t *testing.T) {
	t.Parallel()
	key, hash := NewKey()
	g := newGate(t, &config.Auth{Keys: []config.APIKey{
		{ID: "ci", Hash: hash, Org: "acme", Team: "build", User: "robot", Scopes: []string{"mcp:*"}},
		{ID: "off", Disabled: "variable is not set"},
	}})
	want := rpc.Principal{Org: "acme", Team: "build", Key: "ci", User: "robot", Scopes: []string{"mcp:*"}}
	for name, c := range map[string]*rpc.Call{
		"Authorization":     bearing(key),
		"scheme in small":   callWith("Authorization", "bearer "+key),
		"spaces in front":   callWith("Authorization", "Bearer   "+key),
		"header of its own": callWith("X-Api-Key", key),
	} {
		if diff := cmp.Diff(want, accepted(t, g, c)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, c := range map[string]*rpc.Call{
		"none":         callWith(),
		"another":      bearing("hgk_another"),
		"the hash":     bearing(hash),
		"longer":       bearing(key + "A"),
		"shorter":      bearing(key[:len(key)-1]),
		"another case": bearing(strings.ToLower(key)),
		"a cookie":     callWith("Cookie", "key="+key),
	} {
		e := refusedWith(t, g, c, rpc.Unauthenticated)
		if got := e.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
			t.Errorf("%s: WWW-Authenticate: %q", name, got)
		}
		if strings.Contains(e.Error(), key) {
			t.Errorf("%s: the error holds the key", name)
		}
	}
	for name, c := range map[string]*rpc.Call{
		"another scheme":     callWith("Authorization", "Basic "+key),
		"no scheme":          callWith("Authorization", key),
		"nothing behind it":  callWith("Authorization", "Bearer "),
		"two":                callWith("Authorization", "Bearer "+key, "Authorization", "Bearer "+key),
		"in both headers":    callWith("Authorization", "Bearer "+key, "X-Api-Key", key),
		"a space in between": callWith("Authorization", "Bearer "+key+" x"),
		"no ASCII":           callWith("Authorization", "Bearer "+key+"é"),
		"too long":           callWith("Authorization", "Bearer "+strings.Repeat("a", maxCredential+1)),
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, g, c, rpc.InvalidRequest) })
	}
}

func TestNewKeysAreRandomAndKeptAsHashes(t *testing.T) {
	t.Parallel()
	key, hash := NewKey()
	other, _ := NewKey()
	if key == other || len(key) != len(keyPrefix)+43 || !strings.HasPrefix(key, keyPrefix) {
		t.Errorf("keys %q and %q", key, other)
	}
	if d := digestOf(key); hash != fmt.Sprintf("sha256:%x", d) {
		t.Errorf("hash %q of %q", hash, key)
	}
	long := strings.Repeat("x", 600)
	if digestOf(long) != digestOf(strings.Clone(long)) {
		t.Error("long credentials have no digest of their own")
	}
}

func TestKeyFileIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "data", KeyFileName)
		configuredKey, configuredHash := NewKey()
		g := newGate(t, &config.Auth{Keys: []config.APIKey{{ID: "fixed", Hash: configuredHash}}}, func(d *Deps) { d.KeyFile = path })
		key, hash := NewKey()
		shadow, shadowHash := NewKey()
		brief, briefHash := NewKey()
		refusedWith(t, g, bearing(key), rpc.Unauthenticated)

		write := func(r KeyRecord) {
			t.Helper()
			if err := AppendKey(path, r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookInterval + 1)
		}
		write(KeyRecord{ID: "ci", Hash: hash, Org: "acme", Scopes: []string{"mcp:*"}, Created: time.Now()})
		if got := accepted(t, g, bearing(key)); got.Key != "ci" || got.Org != "acme" {
			t.Errorf("principal %+v", got)
		}
		write(KeyRecord{ID: "fixed", Hash: shadowHash})
		refusedWith(t, g, bearing(shadow), rpc.Unauthenticated)
		accepted(t, g, bearing(configuredKey))

		ends := time.Now().Add(time.Hour)
		write(KeyRecord{ID: "brief", Hash: briefHash, Expires: ends})
		if got := accepted(t, g, bearing(brief)); !got.Expires.Equal(ends) {
			t.Errorf("it ends at %v, want %v", got.Expires, ends)
		}
		time.Sleep(time.Hour)
		refusedWith(t, g, bearing(brief), rpc.Unauthenticated)

		write(KeyRecord{ID: "ci", Revoked: time.Now()})
		refusedWith(t, g, bearing(key), rpc.Unauthenticated)
		accepted(t, g, bearing(configuredKey))

		// A file that is damaged leaves the keys as they were.
		again, againHash := NewKey()
		write(KeyRecord{ID: "ci", Hash: againHash})
		accepted(t, g, bearing(again))
		if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookInterval + 1)
		accepted(t, g, bearing(again))
		if _, err := New(&config.Auth{}, Deps{Log: testLog(t), KeyFile: path}); err == nil || !strings.Contains(err.Error(), path+":1") {
			t.Errorf("a damaged file at the start: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookInterval + 1)
		refusedWith(t, g, bearing(again), rpc.Unauthenticated)
		if g.tries.wait(netip.MustParseAddr("192.0.2.7"), time.Now()) != 0 {
			t.Error("the address was shut out")
		}
	})
}

func TestKeyFileOutlivesACut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), KeyFileName)
	_, hash := NewKey()
	for _, r := range []KeyRecord{{ID: "a", Hash: hash}, {ID: "b", Hash: hash}} {
		if err := AppendKey(path, r); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	first := strings.IndexByte(string(whole), '\n') + 1
	for cut := first; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := names(t, path); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
		if err := AppendKey(path, KeyRecord{ID: "c", Hash: hash}); err != nil {
			t.Fatal(err)
		}
		want := []string{"a", "c"}
		if cut == len(whole)-1 {
			want = []string{"a", "b", "c"} // only its end was missing
		}
		if got := names(t, path); !slices.Equal(got, want) {
			t.Fatalf("cut at %d and gone on: %q", cut, got)
		}
	}
}

func names(t *testing.T, path string) (out []string) {
	t.Helper()
	keys, err := ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func TestKeyFileRefuses(t *testing.T) {
	t.Parallel()
	hash := "sha256:" + strings.Repeat("0a", 32)
	for name, text := range map[string]string{
		"no JSON":            "x\n",
		"an unknown member":  `{"id":"a","hash":"` + hash + `","admin":true}` + "\n",
		"another hash":       `{"id":"a","hash":"md5:00"}` + "\n",
		"no id":              `{"hash":"` + hash + `"}` + "\n",
		"an address as id":   `{"id":"https://issuer","hash":"` + hash + `"}` + "\n",
		"neither":            `{"id":"a"}` + "\n",
		"made and revoked":   `{"id":"a","hash":"` + hash + `","revoked":"2026-01-01T00:00:00Z"}` + "\n",
		"two on a line":      `{"id":"a","hash":"` + hash + `"}{"id":"b","hash":"` + hash + `"}` + "\n",
		"twice":              `{"id":"a","hash":"` + hash + `"}` + "\n" + `{"id":"a","hash":"` + hash + `"}` + "\n",
		"a line without end": strings.Repeat("a", maxKeyLine+2) + "\n",
	} {
		if keys, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, keys)
		}
	}
}

// A guess costs the same whether it is nearly right or not, since what is looked up is
// its digest, which agrees with a stored one in no, some or all but the last byte.
func TestT6_TimingSaysNothingOfAKey(t *testing.T) {
	t.Parallel()
	samples := 20_000
	if *full {
		samples = 1_000_000
	}
	_, hash := NewKey()
	stored, err := parseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	table := newKeyTable([]*apiKey{{digest: stored}}, nil)
	var classes [2]welford
	now := time.Now()
	near := [2]digest{stored, stored}
	near[0][0] ^= 1
	near[1][31] ^= 1
	random := uint32(1)
	for range samples {
		random = random*1664525 + 1013904223
		class := random >> 31
		start := time.Now()
		for range 16 {
			if table.find(&near[class], now) != nil {
				t.Fatal("a wrong digest was found")
			}
		}
		classes[class].add(float64(time.Since(start)))
	}
	statistic := classes[0].t(&classes[1])
	t.Logf("%d samples: t = %.2f, means %.1f and %.1f ns for 16 looks", samples, statistic, classes[0].mean, classes[1].mean)
	if *full && math.Abs(statistic) >= 4.5 {
		t.Errorf("|t| = %.2f, want less than 4.5", math.Abs(statistic))
	}
}

// welford gathers a mean and a variance. Samples far out are cut: the machine does
// other things as well.
type welford struct{ n, mean, m2 float64 }

func (w *welford) add(x float64) {
	x = min(x, 5000)
	w.n++
	d := x - w.mean
	w.mean += d / w.n
	w.m2 += d * (x - w.mean)
}

// t is Welch's statistic.
func (w *welford) t(o *welford) float64 {
	return (w.mean - o.mean) / math.Sqrt(w.m2/(w.n-1)/w.n+o.m2/(o.n-1)/o.n)
}

func TestCheckingAKeyAllocatesNothing(t *testing.T) {
	key, hash := NewKey()
	g := newGate(t, &config.Auth{Keys: []config.APIKey{{ID: "a", Hash: hash}}})
	c := bearing(key)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := g.identify(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAPIKey(b *testing.B) {
	key, hash := NewKey()
	keys := []config.APIKey{{ID: "a", Hash: hash}}
	for i := range 1000 {
		_, h := NewKey()
		keys = append(keys, config.APIKey{ID: fmt.Sprint("k", i), Hash: h})
	}
	g := newGate(b, &config.Auth{Keys: keys})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := bearing(key)
		for pb.Next() {
			if _, err := g.identify(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
