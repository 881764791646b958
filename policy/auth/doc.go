// Package auth finds out who calls: by API keys, signed tokens, tokens that somebody
// is asked about, or client certificates. What it finds is the call's principal.
//
// It is a resource server and no authorization server: it checks credentials, says
// where to get one (RFC 9728), and passes none on. What a principal may do beyond the
// scopes of its credential is decided elsewhere.
//
// Package gateway puts the [Gate] into the chain of policies.
package auth
