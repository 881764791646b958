package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// validateAuth checks what concerns several fields of auth.
func (d *decoder) validateAuth(root *node, c *Config) {
	n := root.first("auth")
	switch {
	case n == nil:
		return
	case n.kind == null:
		d.fail(n.at, "auth", "auth is empty, which could be meant either way", "write auth: {} to ask everybody for a credential, or remove it")
		return
	case n.kind != mapping || c.Auth == nil:
		return
	}
	d.validateKeys(n.first("keys"), c.Auth)
	known := n.first("resource") != nil
	d.validateJWTs(n.first("jwt"), c.Auth, known)
	d.validateIntrospections(n.first("introspection"), c.Auth, known)
	d.validateCertificates(root, n, c)
	if c.Auth.Scopes == nil {
		c.Auth.Scopes = []string{DefaultScope}
	}
	if listen := root.first("listen"); listen != nil && !isLoopback(c.Listen) && c.TLS == nil {
		d.warn(listen.at, "listen", "credentials of clients on other machines are sent unencrypted", "add tls, or let a proxy in front of the gateway do it")
	}
}

// elements pairs the entries of a list with what was decoded of them: those that are no mappings have been left out.
func elements(n *node) []*node {
	if n == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.items), func(item *node) bool { return item.kind != mapping })
}

// require reports keys that an entry lacks.
func (d *decoder) require(n *node, path string, keys ...string) {
	for _, key := range keys {
		if n.first(key) == nil {
			d.fail(n.at, path, key+" is missing", "add "+key+": …")
		}
	}
}

// exclusive reports keys of which an entry has more than one, and returns how many it has.
func (d *decoder) exclusive(n *node, path string, keys ...string) int {
	var have []string
	for _, key := range keys {
		if n.first(key) != nil {
			have = append(have, key)
		}
	}
	if len(have) > 1 {
		d.fail(n.first(have[1]).at, join(path, have[1]), strings.Join(have, " and ")+" exclude each other", "keep one")
	}
	return len(have)
}

func (d *decoder) validateKeys(list *node, a *Auth) {
	ids, secrets := map[string]Position{}, map[string]Position{}
	for i, n := range elements(list) {
		k, path := &a.Keys[i], fmt.Sprintf("auth.keys[%d]", i)
		d.require(n, path, "id")
		if d.exclusive(n, path, "key", "hash") == 0 {
			d.fail(n.at, path, "key and hash are both missing", "headgate keys create makes a key and prints its hash")
		}
		if before, ok := ids[k.ID]; ok && k.ID != "" {
			d.fail(n.first("id").at, join(path, "id"), fmt.Sprintf("key %q stands a second time", k.ID), "rename one; the other is at "+before.String())
		}
		ids[k.ID] = k.Position
		if k.Disabled != "" {
			continue
		}
		if k.Key != "" {
			sum := sha256.Sum256([]byte(k.Key))
			k.Hash = HashPrefix + hex.EncodeToString(sum[:])
		}
		k.Hash, k.Key = strings.ToLower(k.Hash), "" // only the hash is kept
		if before, ok := secrets[k.Hash]; ok && k.Hash != "" {
			d.fail(n.at, path, "the same key stands a second time under another id", "make another key; the first is at "+before.String())
		}
		secrets[k.Hash] = k.Position
	}
}

func (d *decoder) validateJWTs(list *node, a *Auth, known bool) {
	issuers := map[string]Position{}
	for i, n := range elements(list) {
		j, path := &a.JWT[i], fmt.Sprintf("auth.jwt[%d]", i)
		d.require(n, path, "issuer")
		if before, ok := issuers[j.Issuer]; ok && j.Issuer != "" {
			d.fail(n.first("issuer").at, join(path, "issuer"), fmt.Sprintf("issuer %q stands a second time", j.Issuer), "keep one; the other is at "+before.String())
		}
		issuers[j.Issuer] = j.Position
		d.audience(n, j.Audience, known, path)
		ways := d.exclusive(n, path, "jwks_uri", "key", "secret")
		if ways == 0 && checkWeb(j.Issuer) != nil && j.Issuer != "" {
			d.fail(n.first("issuer").at, join(path, "issuer"), "issuer is no address where its keys could be found", "add jwks_uri, key or secret")
		}
		if ways == 0 {
			d.plain(n, "issuer", j.Issuer, j.AllowPrivate, path)
		}
		d.plain(n, "jwks_uri", j.JWKSURI, j.AllowPrivate, path)
		d.algorithms(n, j, path)
	}
}

// audience reports that nothing is known of whom tokens must be meant for; known says that auth.resource is there.
func (d *decoder) audience(n *node, audience string, known bool, path string) {
	if audience == "" && !known {
		d.fail(n.at, path, "audience is missing: tokens that are meant for others would be accepted",
			"add audience: …, or say with auth.resource how clients know this gateway")
	}
}

// plain reports an address that is not encrypted.
func (d *decoder) plain(n *node, key, address string, private bool, path string) {
	if strings.HasPrefix(address, "http://") && !private {
		d.fail(n.first(key).at, join(path, key), key+" must begin with https://", "or add allow_private: true for a server in your own network")
	}
}

// Kinds of signature algorithms (RFC 7518 §3.1).
var (
	hmacAlgorithms = []string{"HS256", "HS384", "HS512"}
	rsaAlgorithms  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	ecAlgorithms   = []string{"ES256", "ES384", "ES512"}
	edAlgorithms   = []string{"EdDSA"}
)

// algorithms checks that the algorithms fit the kind of key, and fills in those that do. One kind of key must never be used as another.
func (d *decoder) algorithms(n *node, j *JWT, path string) {
	var fit []string
	switch {
	case n.first("secret") != nil:
		fit = hmacAlgorithms
	case n.first("key") == nil:
		fit = slices.Concat(rsaAlgorithms, ecAlgorithms, edAlgorithms)
	case j.Key == "":
		return // it could not be read, which has been said
	default:
		key, err := ParsePublicKey(j.Key.Reveal())
		if err != nil {
			d.fail(n.first("key").at, join(path, "key"), "key "+err.Error(), "")
			return
		}
		switch key.(type) {
		case *rsa.PublicKey:
			fit = rsaAlgorithms
		case *ecdsa.PublicKey:
			fit = ecAlgorithms
		case ed25519.PublicKey:
			fit = edAlgorithms
		}
	}
	for i, a := range j.Algorithms {
		if !slices.Contains(fit, a) && a != "" {
			d.fail(n.first("algorithms").items[i].at, join(path, "algorithms"), fmt.Sprintf("%s does not go with this kind of key", a),
				"these do: "+strings.Join(fit, ", "))
		}
	}
	if len(j.Algorithms) == 0 {
		j.Algorithms = fit
	}
}

func (d *decoder) validateIntrospections(list *node, a *Auth, known bool) {
	for i, n := range elements(list) {
		s, path := &a.Introspection[i], fmt.Sprintf("auth.introspection[%d]", i)
		d.require(n, path, "url", "client_id", "client_secret")
		d.audience(n, s.Audience, known, path)
		d.plain(n, "url", s.URL, s.AllowPrivate, path)
	}
}

func (d *decoder) validateCertificates(root, auth *node, c *Config) {
	ca := root.first("tls").first("client_ca")
	certificates := auth.first("certificates")
	for i, n := range elements(certificates) {
		d.require(n, fmt.Sprintf("auth.certificates[%d]", i), "name")
	}
	switch {
	case len(c.Auth.Certificates) > 0 && ca == nil:
		d.fail(certificates.at, "auth.certificates", "auth.certificates needs tls.client_ca, which says whose certificates count", "add client_ca: PATH to tls")
	case len(c.Auth.Certificates) == 0 && ca != nil:
		d.fail(ca.at, "tls.client_ca", "no entry of auth.certificates says who the bearers of certificates are", "add one, such as {name: \"*\", org: …, scopes: [\"mcp:*\"]}")
	}
}
