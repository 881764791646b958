package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// certificateKey stands for the key of principals that a certificate names.
const certificateKey = "tls:client_ca"

// bearer returns who the bearer of a connection's client certificate is. A certificate
// that was not verified, or that no entry of the configuration fits, is none.
func (g *Gate) bearer(state *tls.ConnectionState) (rpc.Principal, bool) {
	leaf := verified(state)
	if leaf == nil {
		return rpc.Principal{}, false
	}
	names := namesOf(leaf)
	for i := range g.certificates {
		c := &g.certificates[i]
		for _, name := range names {
			if isPlain(name) && len(name) <= maxName && (config.Filter{Allow: []string{c.Name}}).Allows(name) {
				return rpc.Principal{Org: c.Org, Team: c.Team, Key: certificateKey, User: name, Scopes: c.Scopes, Expires: leaf.NotAfter}, true
			}
		}
	}
	return rpc.Principal{}, false
}

// verified returns the client's certificate, nil if it presented none that its issuer
// vouches for.
func verified(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}

// namesOf returns the names a certificate is for. The common name counts only where
// there is no other (RFC 6125 §6.4.4).
func namesOf(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	out = append(append(out, c.DNSNames...), c.EmailAddresses...)
	if len(out) == 0 && c.Subject.CommonName != "" {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

// holds reports whether the client of a connection holds the certificate that a token
// is bound to (RFC 8705 §3).
func holds(state *tls.ConnectionState, thumbprint string) bool {
	if state == nil || len(state.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]) == thumbprint
}
