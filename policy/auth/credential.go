package auth

import (
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
)

const (
	bearer = "Bearer"
	// maxCredential bounds a credential. Tokens that list all groups of a person are long.
	maxCredential = 16 << 10
)

// credentialOf returns the one credential of a request, empty if it has none. Two of
// them, or one that is no bearer's, are refused: they would be understood in two ways.
func credentialOf(h http.Header) (string, error) {
	authorization, keys := h["Authorization"], h["X-Api-Key"]
	switch {
	case len(authorization) == 0 && len(keys) == 0:
		return "", nil
	case len(authorization)+len(keys) > 1:
		return "", malformed("more than one credential: send Authorization or X-Api-Key, once")
	case len(keys) == 1:
		return checked(strings.TrimSpace(keys[0]))
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, bearer) {
		return "", malformed("header Authorization must be of the scheme Bearer")
	}
	return checked(strings.TrimLeft(token, " "))
}

// checked allows what a token consists of (RFC 6750 §2.1, a little wider: API keys are
// any visible text).
func checked(token string) (string, error) {
	if token == "" || len(token) > maxCredential {
		return "", malformed("the credential is empty or too long")
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", malformed("the credential holds a character that none has")
		}
	}
	return token, nil
}

// malformed is a request that cannot be understood (RFC 6750 §3.1, invalid_request).
func malformed(what string) error { return rpc.Errorf(rpc.InvalidRequest, "%s", what) }
