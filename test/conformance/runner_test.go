package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/peer"
)

// proxied is a Gateway that is a plain reverse proxy, which refuses what a test wants it to lose.
func proxied(refuse func(*http.Request) bool) Gateway {
	return func(_ context.Context, _ string, u Upstream) (string, func(), error) {
		target, err := url.Parse(u.URL)
		if err != nil {
			return "", nil, err
		}
		proxy := &httputil.ReverseProxy{
			FlushInterval: -1,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host
			},
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuse != nil && refuse(r) {
				http.Error(w, "refused", http.StatusNotImplemented)
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		return server.URL, server.Close, nil
	}
}

func runnerFor(t *testing.T, gateway Gateway, baseline ...Expected) *Runner {
	t.Helper()
	return &Runner{
		peers: peer.Installed(t), gateway: gateway, baseline: baseline, dir: t.TempDir(),
		log: slog.New(slog.DiscardHandler), direct: make(map[Pairing]Run),
	}
}

// TestNothingIsLostThroughAPlainProxy runs the suite itself and holds the runner to its one promise about
// success: what carries every byte loses nothing.
func TestNothingIsLostThroughAPlainProxy(t *testing.T) {
	t.Parallel()
	for _, p := range []Pairing{
		{Spec: "2025-11-25", Server: peer.GoSDKSuiteLegacy, Direct: 82},
		{Spec: "2026-07-28", Server: peer.GoSDKSuiteModern, Direct: 153},
	} {
		t.Run(p.Spec, func(t *testing.T) {
			t.Parallel()
			result, err := runnerFor(t, proxied(nil)).Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if !result.OK() || result.Through != p.Direct {
				t.Errorf("%d of %d checks kept, lost %+v", result.Through, p.Direct, result.Lost)
			}
		})
	}
}

func TestALostCheckIsFound(t *testing.T) {
	t.Parallel()
	withoutDelete := proxied(func(r *http.Request) bool { return r.Method == http.MethodDelete })
	lifecycle := Pairing{Spec: "2025-03-26", Server: peer.GoSDKSuiteLegacy, Direct: 3}
	across := lifecycle // only across eras is there a baseline
	across.Across = lifecycle.Server

	t.Run("outside of the baseline", func(t *testing.T) {
		t.Parallel()
		result, err := runnerFor(t, withoutDelete).Run(t.Context(), lifecycle)
		if err != nil {
			t.Fatal(err)
		}
		if result.OK() || !slices.Equal(scenarios(result.Lost), []string{"server-session-lifecycle"}) {
			t.Errorf("lost %+v, want the session's end", result.Lost)
		}
	})
	t.Run("in the baseline", func(t *testing.T) {
		t.Parallel()
		entry := Expected{Scenario: "server-session-lifecycle", Reason: "test"}
		result, err := runnerFor(t, withoutDelete, entry).Run(t.Context(), across)
		if err != nil {
			t.Fatal(err)
		}
		if !result.OK() || len(result.Expected) == 0 {
			t.Errorf("lost %+v, expected %+v, passed %+v", result.Lost, result.Expected, result.Passed)
		}
	})
	t.Run("in the baseline, but kept", func(t *testing.T) {
		t.Parallel()
		entry := Expected{Scenario: "server-session-lifecycle", Reason: "test"}
		result, err := runnerFor(t, proxied(nil), entry).Run(t.Context(), across)
		if err != nil {
			t.Fatal(err)
		}
		if result.OK() || len(result.Passed) != 1 {
			t.Errorf("passed %+v, want the entry", result.Passed)
		}
	})
}

// TestADirectRunThatGoesWrongFails keeps a broken server from making the gate empty.
func TestADirectRunThatGoesWrongFails(t *testing.T) {
	t.Parallel()
	wrong := Pairing{Spec: "2025-03-26", Server: peer.GoSDKSuiteLegacy, Direct: 4}
	_, err := runnerFor(t, proxied(nil)).Run(t.Context(), wrong)
	if err == nil || !strings.Contains(err.Error(), "3 checks succeed, 4 are pinned") {
		t.Errorf("error %v, want the two counts", err)
	}
}
