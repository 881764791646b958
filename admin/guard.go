package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// guard lets operators in and nobody else: no page that a browser on this machine shows,
// and, where there is a token, nobody who does not have it.
type guard struct {
	loopback bool
	token    *[sha256.Size]byte // the digest of what operators show; nil where nobody is asked
	tries    *tries
}

func newGuard(cfg Config) *guard {
	g := &guard{loopback: cfg.Loopback, tries: newTries()}
	if cfg.Token != "" {
		sum := sha256.Sum256([]byte(cfg.Token))
		g.token = &sum
	}
	return g
}

// operators serves operators only.
func (g *guard) operators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkPage(r); err != nil {
			refuse(w, http.StatusForbidden, err)
			return
		}
		if !g.checkToken(w, r, time.Now()) {
			return
		}
		if err := checkBody(r); err != nil {
			refuse(w, http.StatusUnsupportedMediaType, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkPage refuses what pages of other origins ask a browser to send, whatever the
// method, and pages that were made to resolve to this machine (DNS rebinding), which send
// another name as Host. Programs send no Origin.
func (g *guard) checkPage(r *http.Request) error {
	if g.loopback && !loopbackHost(r.Host) {
		return errors.New("this is for operators on the gateway's own machine, where it has other names than this Host")
	}
	origins := r.Header["Origin"]
	if len(origins) > 1 || len(origins) == 1 && origins[0] != "http://"+r.Host && origins[0] != "https://"+r.Host {
		return errors.New("pages of other origins have no business here")
	}
	switch r.Header.Get("Sec-Fetch-Site") { // W3C Fetch Metadata
	case "", "none", "same-origin":
		return nil
	}
	return errors.New("pages of other sites have no business here")
}

// checkToken asks for the token, if there is one, and answers who does not show it.
func (g *guard) checkToken(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	if g.token == nil {
		return true
	}
	from := addressOf(r)
	if wait := g.tries.wait(from, now); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
		refuse(w, http.StatusTooManyRequests, errors.New("too many wrong tokens came from this address"))
		return false
	}
	if g.bears(r) {
		return true
	}
	if len(r.Header["Authorization"]) > 0 {
		g.tries.failed(from, now)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="headgate operators"`)
	refuse(w, http.StatusUnauthorized, errors.New("operators show the token of the configuration: Authorization: Bearer …"))
	return false
}

// bears reports whether a request shows the token. How long it takes says nothing about
// the token: digests are compared, and wholly.
func (g *guard) bears(r *http.Request) bool {
	fields := r.Header["Authorization"]
	if len(fields) != 1 {
		return false
	}
	scheme, shown, _ := strings.Cut(fields[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(shown)))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// checkBody refuses writes in a form that pages can send without being asked for it
// (Fetch, CORS-safelisted request-header).
func checkBody(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return errors.New("what is written here must be application/json")
	}
	return nil
}

// addressOf is who sends a request.
func addressOf(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for all that have none
	return a.Addr()
}

// loopbackHost reports whether a host, with or without a port, means this machine
// wherever it is looked up.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
