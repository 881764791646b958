package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// clientOf returns the address that a call has behind the proxies.
func clientOf(t testing.TB, p Proxies, peer string, forwarded ...string) string {
	t.Helper()
	c := &rpc.Call{Header: http.Header{}, Remote: netip.AddrPortFrom(netip.MustParseAddr(peer), 4711)}
	for _, f := range forwarded {
		c.Header.Add("X-Forwarded-For", f)
	}
	next := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil })
	if _, err := p.Client(next).Handle(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c.Remote.Addr().String()
}

func proxies(t testing.TB, networks ...string) Proxies {
	t.Helper()
	p, err := NewProxies(networks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheClientIsWhomTrustedProxiesName(t *testing.T) {
	t.Parallel()
	p := proxies(t, "10.0.0.0/8", "192.0.2.1", "fd00::/8")
	for _, tt := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"198.51.100.9", nil, "198.51.100.9"},
		{"198.51.100.9", []string{"1.2.3.4"}, "198.51.100.9"}, // anybody can write it
		{"10.1.1.1", nil, "10.1.1.1"},
		{"10.1.1.1", []string{""}, "10.1.1.1"},
		{"10.1.1.1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"10.1.1.1", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		{"10.1.1.1", []string{"6.6.6.6, 1.2.3.4, 10.2.2.2, 192.0.2.1"}, "1.2.3.4"},
		{"10.1.1.1", []string{"6.6.6.6", "1.2.3.4 ,10.2.2.2"}, "1.2.3.4"},
		{"10.1.1.1", []string{"1.2.3.4:5678"}, "1.2.3.4"},
		{"10.1.1.1", []string{"[2001:db8::1]:5678"}, "2001:db8::1"},
		{"10.1.1.1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"10.1.1.1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"::ffff:10.1.1.1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.1.1.1", []string{"1.2.3.4, unknown"}, "10.1.1.1"},
		{"10.1.1.1", []string{"1.2.3.4, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"10.1.1.1", []string{"1.2.3.4,"}, "10.1.1.1"},
		{"10.1.1.1", []string{"10.9.9.9, 10.2.2.2"}, "10.9.9.9"},
		{"10.1.1.1", []string{"1.2.3.4, " + strings.Repeat("10.0.0.1, ", 2*maxHops) + "10.0.0.2"}, "10.0.0.1"},
	} {
		if got := clientOf(t, p, tt.peer, tt.forwarded...); got != tt.want {
			t.Errorf("%s forwarded %q: %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
	if _, err := NewProxies([]string{"proxy.example.com"}); err == nil {
		t.Error("a name is no network")
	}
}

// T34: nobody becomes somebody else by what he writes into headers.
func TestT34_SpoofedHeadersChangeNobody(t *testing.T) {
	t.Parallel()
	key, hash := NewKey()
	g := newGate(t, &config.Auth{
		Keys: []config.APIKey{{ID: "a", Hash: hash, Org: "acme"}}, Anonymous: &config.Anonymous{Org: "public"},
	})
	p := proxies(t, "10.0.0.0/8")
	var spoofed [][]string
	for _, name := range []string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Forwarded-Host", "X-Org", "X-Tenant",
		"X-Tenant-Id", "X-User", "X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Auth-Request-User", "X-Ssl-Client-Cert", "X-Client-Cert",
	} {
		for _, value := range []string{"10.0.0.1", "127.0.0.1", "for=10.0.0.1"} {
			spoofed = append(spoofed, []string{name, value})
		}
	}
	if len(spoofed) < 50 {
		t.Fatalf("%d cases", len(spoofed))
	}
	for _, credential := range [][]string{nil, {"Authorization", "Bearer " + key}} {
		honest := accepted(t, g, callWith(credential...))
		for _, fields := range spoofed {
			c := callWith(slices.Concat(credential, fields)...)
			var seen *rpc.Call
			next := rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) { seen = c; return rpc.Respond(nil), nil })
			if _, err := p.Client(g.Authenticate(next)).Handle(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if seen.Remote.Addr().String() != "192.0.2.7" || seen.Principal.Org != honest.Org || seen.Principal.Key != honest.Key || seen.Principal.User != honest.User {
				t.Errorf("%q: %+v from %v", fields, seen.Principal, seen.Remote)
			}
		}
	}
}

func TestWrongCredentialsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, hash := NewKey()
		other, otherHash := NewKey()
		g := newGate(t, &config.Auth{Keys: []config.APIKey{{ID: "a", Hash: hash}, {ID: "b", Hash: otherHash}}})
		from := func(address string, c *rpc.Call) *rpc.Call {
			c.Remote = netip.AddrPortFrom(netip.MustParseAddr(address), 4711)
			return c
		}
		accepted(t, g, bearing(key))
		for i := range maxTries {
			refusedWith(t, g, bearing(fmt.Sprint("guess-", i)), rpc.Unauthenticated)
		}
		e := refusedWith(t, g, bearing("one-more"), rpc.TooManyTries)
		if e.RetryAfter <= 0 || e.RetryAfter > tryInterval {
			t.Errorf("retry after %v", e.RetryAfter)
		}
		refusedWith(t, g, bearing(other), rpc.TooManyTries) // a good guess is not told from a bad one
		accepted(t, g, bearing(key))                        // who was here before is no guesser
		refusedWith(t, g, callWith(), rpc.Unauthenticated)  // and who has no credential tries none
		accepted(t, g, from("192.0.2.8", bearing(other)))
		time.Sleep(tryInterval)
		refusedWith(t, g, bearing("guess"), rpc.Unauthenticated)
		refusedWith(t, g, bearing("guess"), rpc.TooManyTries)
		time.Sleep(maxTries * tryInterval)
		for range maxTries {
			refusedWith(t, g, bearing("guess"), rpc.Unauthenticated)
		}
		refusedWith(t, g, bearing("guess"), rpc.TooManyTries)

		for i := range maxTries {
			refusedWith(t, g, from(fmt.Sprintf("2001:db8::%x", i+1), bearing("guess")), rpc.Unauthenticated)
		}
		refusedWith(t, g, from("2001:db8::ffff", bearing("guess")), rpc.TooManyTries) // one network, one address
		refusedWith(t, g, from("2001:db8:0:1::1", bearing("guess")), rpc.Unauthenticated)
	})
}

func TestTheTableOfTriesIsBounded(t *testing.T) {
	t.Parallel()
	tries := newTries()
	now := time.Now()
	for i := range 3 * tryShards * triesPerShard {
		tries.failed(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	size := 0
	for i := range tries.shards {
		size += tries.shards[i].buckets.Len()
	}
	if size > tryShards*triesPerShard {
		t.Errorf("%d addresses are kept", size)
	}
}

// The operator is told once of an address that is shut out, and that it may be a
// proxy's.
func TestOperatorsAreToldOfGuessers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGate(t, &config.Auth{}, func(d *Deps) { d.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		guess := func(n int) {
			for range n {
				_, _ = enter(t, g, callWith("Authorization", "Bearer wrong", "X-Forwarded-For", "198.51.100.1"))
			}
		}
		guess(maxTries - 1)
		if log.Len() > 0 {
			t.Errorf("too early: %s", &log)
		}
		guess(5)
		time.Sleep(tryInterval)
		guess(5)
		if n := strings.Count(log.String(), "192.0.2.7"); n != 1 || !strings.Contains(log.String(), "trusted_proxies") {
			t.Errorf("told %d times: %s", n, &log)
		}
		time.Sleep(2 * maxTries * tryInterval)
		guess(maxTries)
		if n := strings.Count(log.String(), "192.0.2.7"); n != 2 {
			t.Errorf("told %d times: %s", n, &log)
		}
	})
}
