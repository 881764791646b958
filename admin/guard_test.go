package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const token = "a-token-for-operators"

// nothing is a gateway that nothing is known of.
type nothing struct{ Gateway }

func (nothing) Overview() Overview    { return Overview{} }
func (nothing) Upstreams() []Upstream { return nil }
func (nothing) Models() []Model       { return nil }

func newServer(cfg Config) *Server {
	return New(context.Background(), cfg, Deps{
		Log: slog.New(slog.DiscardHandler),
		Ready: func() Readiness {
			return Readiness{Ready: true, Upstreams: []UpstreamHealth{{Name: "secretive"}}}
		},
		Explain: func(context.Context, Question) (Explanation, error) { return Explanation{Outcome: "passes"}, nil },
		Gateway: nothing{},
		Also: map[string]http.Handler{"GET /metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		})},
	})
}

// asked sends a request with header fields, given as "Name: value", and Host among them.
func asked(s *Server, method, path, body string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8971", "127.0.0.1:5000"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		switch name {
		case "Host":
			r.Host = value
		case "From":
			r.RemoteAddr = value
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// T8: pages of other origins, and pages that were made to resolve to this machine, reach
// nothing, whatever the method; programs, which send no Origin, do.
func TestT8_PagesReachNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields []string
		status int
	}{
		"a program":                 {nil, 200},
		"by name":                   {[]string{"Host: localhost:8971"}, 200},
		"by name in capitals":       {[]string{"Host: LocalHost:8971"}, 200},
		"IPv6":                      {[]string{"Host: [::1]:8971"}, 200},
		"own page":                  {[]string{"Origin: http://127.0.0.1:8971", "Sec-Fetch-Site: same-origin"}, 200},
		"own page behind a proxy":   {[]string{"Host: localhost", "Origin: https://localhost"}, 200},
		"typed":                     {[]string{"Sec-Fetch-Site: none"}, 200},
		"rebound":                   {[]string{"Host: evil.example:8971", "Origin: http://evil.example:8971"}, 403},
		"rebound without origin":    {[]string{"Host: evil.example"}, 403},
		"host begins like loopback": {[]string{"Host: 127.0.0.1.evil.example"}, 403},
		"host is empty":             {[]string{"Host: "}, 403},
		"null":                      {[]string{"Origin: null"}, 403},
		"evil":                      {[]string{"Origin: https://evil.example"}, 403},
		"own with a suffix":         {[]string{"Origin: http://127.0.0.1:8971.evil.example"}, 403},
		"own without port":          {[]string{"Origin: http://127.0.0.1"}, 403},
		"another port":              {[]string{"Origin: http://127.0.0.1:3000"}, 403},
		"another loopback name":     {[]string{"Origin: http://localhost:8971"}, 403},
		"upper case":                {[]string{"Origin: HTTP://127.0.0.1:8971"}, 403},
		"another scheme":            {[]string{"Origin: file://127.0.0.1:8971"}, 403},
		"two origins":               {[]string{"Origin: http://127.0.0.1:8971", "Origin: https://evil.example"}, 403},
		"empty origin":              {[]string{"Origin: "}, 403},
		"an image elsewhere":        {[]string{"Sec-Fetch-Site: cross-site"}, 403},
		"a neighbour":               {[]string{"Sec-Fetch-Site: same-site"}, 403},
	}
	for _, cfg := range []Config{{Loopback: true}, {Loopback: true, Token: token}} {
		s := newServer(cfg)
		for name, test := range tests {
			for _, request := range [][2]string{{"GET", "/api/v1/overview"}, {"GET", "/metrics"}, {"HEAD", "/api/v1/upstreams"}, {"POST", "/explain"}} {
				fields := append([]string{"Content-Type: application/json", "Authorization: Bearer " + token}, test.fields...)
				if got := asked(s, request[0], request[1], "{}", fields...).Code; got != test.status {
					t.Errorf("%s, %s: %d, want %d", name, request, got, test.status)
				}
			}
		}
	}
}

// Where other machines can reach the listener it has whatever name they know, and the
// token keeps out who resolves a page to it.
func TestReachedByAnyNameWithAToken(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Token: token})
	bearer := "Authorization: Bearer " + token
	for _, test := range []struct {
		fields []string
		status int
	}{
		{[]string{"Host: gateway.example", bearer}, 200},
		{[]string{"Host: gateway.example", bearer, "Origin: https://gateway.example"}, 200},
		{[]string{"Host: gateway.example", bearer, "Origin: https://evil.example"}, 403},
		{[]string{"Host: gateway.example"}, 401},
	} {
		if got := asked(s, "GET", "/api/v1/overview", "", test.fields...).Code; got != test.status {
			t.Errorf("%s: %d, want %d", test.fields, got, test.status)
		}
	}
}

func TestOnlyTheTokenOpens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fields []string
		status int
	}{
		"none":             {nil, 401},
		"right":            {[]string{"Authorization: Bearer " + token}, 200},
		"any case":         {[]string{"Authorization: bearer " + token}, 200},
		"wrong":            {[]string{"Authorization: Bearer " + token[1:]}, 401},
		"longer":           {[]string{"Authorization: Bearer " + token + "x"}, 401},
		"empty":            {[]string{"Authorization: Bearer "}, 401},
		"no scheme":        {[]string{"Authorization: " + token}, 401},
		"other scheme":     {[]string{"Authorization: Basic " + token}, 401},
		"twice":            {[]string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 401},
		"in a cookie":      {[]string{"Cookie: token=" + token}, 401},
		"as an API key is": {[]string{"X-API-Key: " + token}, 401},
	} {
		s := newServer(Config{Loopback: true, Token: token})
		for _, path := range []string{"/api/v1/overview", "/metrics", "/no/such/path"} {
			got := asked(s, "GET", path, "", test.fields...)
			want := test.status
			if path == "/no/such/path" && want == 200 {
				want = 404
			}
			if got.Code != want || want == 401 && got.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s, %s: %d, want %d", name, path, got.Code, want)
			}
		}
		if got := asked(s, "GET", "/api/v1/overview?token="+token, "").Code; got != 401 {
			t.Errorf("the token in the address: %d", got)
		}
	}
}

// Balancers and container engines have no token, and are told no names.
func TestHealthIsOpen(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Token: token})
	for _, path := range []string{"/healthz", "/readyz"} {
		got := asked(s, "GET", path, "", "Host: 10.1.2.3:8971")
		if got.Code != 200 || strings.Contains(got.Body.String(), "secretive") {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if got := asked(newServer(Config{Loopback: true}), "GET", "/readyz", ""); !strings.Contains(got.Body.String(), "secretive") {
		t.Errorf("without a token the upstreams are missing: %s", got.Body)
	}
}

// Who tries many tokens from one address has to wait, the right one being no exception;
// others need not.
func TestTokensCannotBeTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Config{Token: token})
		try := func(from, with string) int {
			return asked(s, "GET", "/api/v1/overview", "", "From: "+from, "Authorization: Bearer "+with).Code
		}
		for i := range maxTries {
			if got := try("192.0.2.1:1", "wrong"); got != 401 {
				t.Fatalf("try %d: %d", i, got)
			}
		}
		if got := try("192.0.2.1:2", token); got != 429 {
			t.Errorf("after too many: %d", got)
		}
		if got := try("192.0.2.2:1", token); got != 200 {
			t.Errorf("another address: %d", got)
		}
		time.Sleep(tryInterval)
		if got := try("192.0.2.1:2", token); got != 200 {
			t.Errorf("after a while: %d", got)
		}
		for range maxTries {
			try("[2001:db8::1]:1", "wrong")
		}
		if got := try("[2001:db8::2]:1", token); got != 429 {
			t.Errorf("another address of the same network: %d", got)
		}
		if got := try("192.0.2.3:1", token); got != 200 {
			t.Errorf("another address: %d", got)
		}
	})
}

func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	all, now := newTries(), time.Now()
	for i := range 2 * triedFrom {
		all.failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
	if n := all.until.Len(); n > triedFrom {
		t.Errorf("%d addresses are remembered", n)
	}
}

// A form can be sent by any page, without the browser asking first; JSON cannot.
func TestWritesAreJSON(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Loopback: true})
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"} {
		for _, method := range []string{"POST", "PUT", "PATCH"} {
			if got := asked(s, method, "/explain", "{}", "Content-Type: "+media).Code; got != 415 {
				t.Errorf("%s of %q: %d", method, media, got)
			}
		}
	}
	if got := asked(s, "POST", "/explain", "{}", "Content-Type: application/json; charset=utf-8").Code; got != 200 {
		t.Errorf("JSON: %d", got)
	}
}

func TestAnswersAreHardened(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Loopback: true, Token: token})
	for _, path := range []string{"/healthz", "/readyz", "/api/v1/overview", "/explain", "/nothing"} {
		for _, fields := range [][]string{nil, {"Authorization: Bearer " + token}, {"Origin: null"}} {
			h := asked(s, "GET", path, "", fields...).Header()
			for name, part := range map[string]string{
				"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			} {
				if !strings.Contains(h.Get(name), part) {
					t.Errorf("%s %s: %s is %q", path, fields, name, h.Get(name))
				}
			}
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", path, name)
				}
			}
		}
	}
}
