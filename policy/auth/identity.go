package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Bounds of what a token says.
const (
	maxScopes    = 256
	maxAudiences = 64
	maxName      = 512 // bytes of an organisation, a team or a user
)

// identity is what a token that is good says.
type identity struct {
	principal rpc.Principal
	audience  []string // whom it is meant for
	wanted    string   // the audience that the configuration asks for; empty for the address of the endpoint
	bound     string   // SHA-256 of the client certificate that it is bound to (RFC 8705 §3.1), base64url; empty if to none
	until     time.Time
}

// meantFor checks that a token was issued for an endpoint (RFC 8707 §2).
func (id *identity) meantFor(r *resources, endpoint string) bool {
	for _, a := range id.audience {
		switch {
		case id.wanted != "" && a == id.wanted:
			return true
		case r.base == "":
		case a == r.uri(endpoint), id.wanted == "" && a == r.base:
			return true
		}
	}
	return false
}

// identify reads who the bearer of a token is. The issuer stands for the key, so that
// equal names of two issuers are two principals.
func identify(claims map[string]any, names config.Claims, issuer string) (*identity, *refusal) {
	p := rpc.Principal{Key: issuer}
	for _, part := range []struct {
		claim string
		to    *string
		must  bool
	}{{names.Org, &p.Org, true}, {names.Team, &p.Team, false}, {names.User, &p.User, true}} {
		if part.claim == "" {
			continue
		}
		text, _ := member(claims, part.claim).(string)
		if text == "" && part.must || len(text) > maxName || !isPlain(text) {
			return nil, &refusal{reason: "a claim that says who its bearer is is missing or wrong"}
		}
		*part.to = text
	}
	var ok bool
	if p.Scopes, ok = words(member(claims, names.Scopes), maxScopes, strings.Fields); !ok {
		return nil, &refusal{reason: "its scopes cannot be read"}
	}
	id := &identity{principal: p}
	if id.audience, ok = words(claims["aud"], maxAudiences, func(s string) []string { return []string{s} }); !ok {
		return nil, &refusal{reason: "its audience cannot be read"}
	}
	if confirmation, present := claims["cnf"]; present {
		of, _ := confirmation.(map[string]any)
		if id.bound, _ = of["x5t#S256"].(string); id.bound == "" {
			return nil, &refusal{reason: "it is bound to a proof that is not accepted here", benign: true}
		}
	}
	return id, nil
}

// member returns a claim. A dot in its name leads into an object.
func member(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok || name == "" {
		return v
	}
	outer, inner, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	object, _ := claims[outer].(map[string]any)
	return member(object, inner)
}

// words reads a claim that is a list of texts, or one text that split takes apart.
// Nothing at all is an empty list.
func words(v any, limit int, split func(string) []string) (out []string, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		out = split(v)
	case []any:
		for _, item := range v {
			text, isText := item.(string)
			if !isText {
				return nil, false
			}
			out = append(out, text)
		}
	default:
		return nil, false
	}
	return out, len(out) <= limit && !slices.ContainsFunc(out, func(s string) bool { return !isPlain(s) })
}

// isPlain reports whether a text may become part of logs and headers: no control
// characters, and none that change the direction of writing.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r <= 0x9f || 0x200e <= r && r <= 0x200f || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
	})
}
