package edge

import (
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// Answers to browsers (Fetch, HTTP CORS protocol). Refusing a call because of its
// origin is a policy's; here pages of allowed origins are told that they may read.

const (
	corsVerbs   = "GET, POST, DELETE"
	corsExposed = "Mcp-Session-Id, WWW-Authenticate, Retry-After"
	corsFields  = "authorization, x-api-key, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id, traceparent"
	corsMaxAge  = "600" // seconds, the most some browsers take

	// maxParamFields bounds the Mcp-Param fields that one preflight may ask for.
	maxParamFields = 64
	paramPrefix    = "mcp-param-"
)

// allowOrigin tells a page of an allowed origin that it may read the answer.
func (x *exchange) allowOrigin() {
	origin := x.r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := x.w.Header()
	h.Add("Vary", "Origin")
	if x.cfg().AllowOrigin(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExposed)
	}
}

// preflight answers what a browser asks before it sends a request.
func (x *exchange) preflight(older bool) error {
	origin := x.r.Header.Get("Origin")
	switch {
	case origin == "" || x.r.Header.Get("Access-Control-Request-Method") == "":
		if older || x.speech == &inferDialect {
			return wrongVerb(x.r.Method, "GET, POST, OPTIONS")
		}
		return wrongVerb(x.r.Method, "GET, POST, DELETE, OPTIONS")
	case !x.cfg().AllowOrigin(origin):
		return rpc.Errorf(rpc.OriginRefused, "origin %s is not allowed", rpc.Excerpt(origin))
	}
	h := x.w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", corsVerbs)
	h.Set("Access-Control-Allow-Headers", corsFields+paramFields(x.r.Header["Access-Control-Request-Headers"]))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	x.acknowledge(http.StatusNoContent)
	return nil
}

// paramFields returns the requested Mcp-Param fields, whose names tools make up, as
// a tail of a list.
func paramFields(requested []string) string {
	var out strings.Builder
	n := 0
	for _, list := range requested {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if !strings.HasPrefix(name, paramPrefix) || !isToken(name) || n == maxParamFields {
				continue
			}
			n++
			out.WriteString(", ")
			out.WriteString(name)
		}
	}
	return out.String()
}

// isToken reports whether s may name a header field (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
