package auth

import (
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// Error codes of RFC 6750 §3.1.
const (
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

// challenge says in one WWW-Authenticate field what is wrong and where a token can be
// had (RFC 6750 §3, RFC 9728 §5.1). Descriptions are our own words: they need no
// escaping.
func (g *Gate) challenge(c *rpc.Call, code, description string, scopes []string) http.Header {
	var b strings.Builder
	b.WriteString(bearer)
	separator := " "
	add := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(separator + name + `="` + value + `"`)
		separator = ", "
	}
	add("error", code)
	add("error_description", description)
	if url := g.resources.metadataURL(c); url != "" {
		add("resource_metadata", url)
		add("scope", strings.Join(scopes, " "))
	} else {
		add("realm", "headgate")
	}
	return http.Header{"Www-Authenticate": {b.String()}}
}

// missing is the answer to a call without a credential.
func (g *Gate) missing(c *rpc.Call) error {
	return &rpc.Error{
		Code: rpc.Unauthenticated, Message: "a credential is needed: send it as Authorization: Bearer …",
		Header: g.challenge(c, "", "", g.resources.scopes),
	}
}

// refused is the answer to a call with a credential that is not good.
func (g *Gate) refused(c *rpc.Call, why *refusal) error {
	return &rpc.Error{
		Code: rpc.Unauthenticated, Message: "the credential is not good: " + why.reason,
		Header: g.challenge(c, invalidToken, why.reason, g.resources.scopes), Cause: why.cause,
	}
}

// Insufficient is the answer to a call that its credential does not allow. Scopes are
// all that it needs and lacks, not one after the other (MCP 2026-07-28, Authorization,
// Scope Challenge Handling).
func (g *Gate) Insufficient(c *rpc.Call, scopes ...string) *rpc.Error {
	return &rpc.Error{
		Code: rpc.Forbidden, Message: "the credential does not allow this: it needs the scope " + strings.Join(scopes, " "),
		Header: g.challenge(c, insufficientScope, "", scopes), Data: map[string]any{"scopes": scopes},
	}
}

// refusal is why a credential is not good. The reason goes to the client.
type refusal struct {
	reason string
	cause  error // for the log; holds nothing of the credential
	benign bool  // it was good once, or is good elsewhere: nobody is guessing
}

// Error implements error.
func (r *refusal) Error() string { return r.reason }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }
