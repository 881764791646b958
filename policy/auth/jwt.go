package auth

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

const (
	// leeway is how far clocks may differ.
	leeway = 30 * time.Second
	// maxKid bounds the name of a key.
	maxKid = 256
)

// jwts verifies the signed tokens of all issuers.
type jwts struct {
	issuers map[string]*issuer
	order   []*issuer
}

// issuer verifies the tokens of one issuer.
type issuer struct {
	cfg    config.JWT
	parser *jwt.Parser
	key    any     // the one key there is, or nil
	set    *keySet // or where to find them
}

// newJWTs makes the verifiers, but for those that others have already. Nothing is fetched until there is a token.
func newJWTs(cfgs []config.JWT, now func() time.Time, former *jwts) (*jwts, error) {
	j := &jwts{issuers: map[string]*issuer{}}
	for _, cfg := range cfgs {
		if i := former.issuers[cfg.Issuer]; i != nil && sameIssuer(i.cfg, cfg) {
			j.issuers[cfg.Issuer], j.order = i, append(j.order, i)
			continue
		}
		// The algorithms all belong to one kind of key, so that none is used as another
		// (RFC 8725 §3.1). "none" is not among them.
		i := &issuer{cfg: cfg, parser: jwt.NewParser(
			jwt.WithValidMethods(cfg.Algorithms), jwt.WithIssuer(cfg.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now),
		)}
		switch {
		case cfg.Secret != "":
			i.key = []byte(cfg.Secret.Reveal())
		case cfg.Key != "":
			key, err := config.ParsePublicKey(cfg.Key.Reveal())
			if err != nil {
				return nil, fmt.Errorf("issuer %q: key %w", cfg.Issuer, err)
			}
			i.key = key
		default:
			set, err := newKeySet(cfg)
			if err != nil {
				return nil, fmt.Errorf("issuer %q: %w", cfg.Issuer, err)
			}
			i.set = set
		}
		j.issuers[cfg.Issuer] = i
		j.order = append(j.order, i)
	}
	return j, nil
}

// sameIssuer reports whether two configurations, wherever they stand, mean the same.
func sameIssuer(a, b config.JWT) bool {
	a.Position, b.Position = config.Position{}, config.Position{}
	return reflect.DeepEqual(a, b)
}

// of returns whose token this claims to be. It returns nil for what is no token of an
// issuer that is known here.
func (j *jwts) of(token string) *issuer {
	if len(j.issuers) == 0 || strings.Count(token, ".") != 2 {
		return nil
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &claims); err != nil {
		return nil
	}
	return j.issuers[claims.Issuer]
}

// verify returns what a token says, if its issuer said it and it is valid now. The
// error is a *refusal, or what kept the keys from being found.
func (i *issuer) verify(ctx context.Context, token string) (*identity, error) {
	claims := jwt.MapClaims{}
	t, err := i.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header); err != nil {
			return nil, err
		}
		if i.key != nil {
			return i.key, nil
		}
		return i.set.key(ctx, t)
	})
	if err != nil {
		return nil, refusalOf(err)
	}
	expires, err := t.Claims.GetExpirationTime()
	if err != nil || expires == nil {
		return nil, &refusal{reason: "it has no end"}
	}
	id, refused := identify(claims, i.cfg.Claims, i.cfg.Issuer)
	if refused != nil {
		return nil, refused
	}
	id.wanted, id.until = i.cfg.Audience, expires.Time
	id.principal.Expires = expires.Add(leeway)
	return id, nil
}

// checkHeader refuses what would have to be understood and is not (RFC 7515 §4.1.11),
// and tokens of other kinds (RFC 8725 §3.11). Keys that a header brings along are not
// looked at.
func checkHeader(h map[string]any) error {
	if _, ok := h["crit"]; ok {
		return &refusal{reason: "it has a critical header"}
	}
	if kid, ok := h["kid"].(string); ok && len(kid) > maxKid {
		return &refusal{reason: "the name of its key is too long"}
	}
	typ, _ := h["typ"].(string)
	if !slices.Contains([]string{"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"}, strings.ToLower(typ)) {
		return &refusal{reason: "it is a token of another kind", benign: true}
	}
	return nil
}

// refusalOf says why a token is not good, in words of ours.
func refusalOf(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return e
	}
	r := &refusal{reason: "its signature or form is wrong", cause: err}
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenMalformed):
	case errors.Is(err, jwt.ErrTokenExpired):
		r.reason, r.benign = "it has expired", true
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		r.reason, r.benign = "it is not valid yet", true
	}
	return r
}
