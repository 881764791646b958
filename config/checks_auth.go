package config

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

const (
	// HashPrefix begins the hash of an API key.
	HashPrefix = "sha256:"

	maxKeyID      = 64
	minAPIKey     = 16
	maxAPIKey     = 1024
	minHMACSecret = 32 // RFC 7518 §3.2: at least as long as the hash
)

// CheckKeyID allows names that cannot be taken for an issuer's address. Its error continues a sentence that begins with the name.
func CheckKeyID(s string) error {
	for i := range len(s) {
		if c := s[i]; !isNameByte(c, false) && c != '.' {
			return errors.New(`must be letters, digits, "-", "_" and "."`)
		}
	}
	if s == "" || len(s) > maxKeyID {
		return fmt.Errorf("must have 1 to %d characters", maxKeyID)
	}
	return nil
}

// checkAPIKey allows what a client can send in a header and nobody guesses in passing.
func checkAPIKey(s string) error {
	if len(s) < minAPIKey || len(s) > maxAPIKey {
		return fmt.Errorf("must have %d to %d characters; headgate keys create makes a good one", minAPIKey, maxAPIKey)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return errors.New("must be visible ASCII without spaces")
		}
	}
	return nil
}

// checkKeyHash allows the SHA-256 of a key.
func checkKeyHash(s string) error {
	digits, ok := strings.CutPrefix(s, HashPrefix)
	if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != 32 {
		return errors.New("must be sha256: and 64 hexadecimal digits, as headgate keys create prints it")
	}
	return nil
}

func checkHMACSecret(s string) error {
	if len(s) < minHMACSecret {
		return fmt.Errorf("must have at least %d characters", minHMACSecret)
	}
	return nil
}

// CheckScope allows a scope (RFC 6749 §3.3). Its error continues a sentence that begins with the scope.
func CheckScope(s string) error {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return errors.New("has a character that no scope has")
		}
	}
	return checkFilled(s)
}

// checkWeb allows an address of HTTP. Whether it may be plain is said beside it.
func checkWeb(s string) error {
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return errors.New("must begin with https://")
	}
	return checkURL(s)
}

// checkResource allows the address of a gateway as clients write it: they compare what they are told with what they dialled, byte by
// byte (RFC 9728 §3.3).
func checkResource(s string) error {
	if err := checkWeb(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Host != strings.ToLower(u.Host):
		return errors.New("must have its host in lower case, as clients send it")
	case strings.HasSuffix(s, "/"), strings.Contains(s, "?"):
		return errors.New("must not end in / or have a query")
	case u.Path == DefaultEndpoint, strings.HasSuffix(u.Path, DefaultEndpoint):
		return errors.New("must not have the endpoint's path: write what stands before " + DefaultEndpoint)
	case u.EscapedPath() != u.Path:
		return errors.New("must not have escapes in its path")
	}
	return nil
}

func checkNetwork(s string) error {
	_, err := ParseNetwork(s)
	return err
}

// ParseNetwork reads an address or a network in CIDR notation. IPv4 addresses written as IPv6 ones are taken for what they are.
func ParseNetwork(s string) (netip.Prefix, error) {
	wrong := errors.New("must be an address or a network such as 10.0.0.0/8")
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, wrong
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, wrong
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("must be a network: did you mean %s?", p.Masked())
	case p.Addr().Is4In6() && p.Bits() >= 96:
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
	}
	return p, nil
}

// ParsePublicKey reads a public key or a certificate, PEM.
func ParsePublicKey(text string) (crypto.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errors.New("is not PEM")
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("holds more than one PEM block")
	case block.Type == "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("is no certificate that can be read")
		}
		return c.PublicKey, nil
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("is a private key; the gateway needs the public one and must not have this")
	}
	return nil, errors.New("is neither a public key nor a certificate")
}
