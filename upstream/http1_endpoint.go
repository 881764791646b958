package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Endpoint is a URL that requests go to, resolved and rendered once so that a call costs a few appends. It is immutable and
// may be shared.
type Endpoint struct {
	secure bool
	addr   string // host:port, to dial
	server string // host, for TLS
	target string // path and query, as the request line has them
	fixed  []byte // header lines of every request, each with its line end
	text   string
}

// NewEndpoint prepares requests to u, an absolute http or https URL without user information, with fixed as the header fields that
// each of them carries. Host, framing and connection fields are the client's own and refused.
func NewEndpoint(u *url.URL, fixed []Field) (*Endpoint, error) {
	host, addr, err := authority(u)
	if err != nil {
		return nil, fmt.Errorf("upstream url: %w", err)
	}
	e := &Endpoint{
		secure: u.Scheme == "https",
		addr:   addr,
		server: u.Hostname(),
		target: u.RequestURI(),
		text:   u.Scheme + "://" + u.Host + u.EscapedPath(),
	}
	if !visible(e.target) {
		return nil, errors.New("upstream url: path and query must be visible ASCII, percent-encode the rest")
	}
	// Without the second line any coding would be acceptable (RFC 9110 §12.5.3), and we accept none.
	e.fixed = append(e.fixed, "Host: "+host+"\r\nAccept-Encoding: identity\r\n"...)
	if e.fixed, err = appendFields(e.fixed, fixed); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", e.text, err)
	}
	return e, nil
}

// String returns the URL without its query, which may hold a secret. It is for logs, not for clients.
func (e *Endpoint) String() string { return e.text }

// key names the connections that serve this endpoint.
func (e *Endpoint) key() poolKey { return poolKey{secure: e.secure, addr: e.addr} }

// authority checks the URL and returns what the Host field says and what to dial.
func authority(u *url.URL) (host, addr string, err error) {
	port := u.Port()
	switch {
	case u.User != nil:
		return "", "", errors.New("user information is not supported, use a header")
	case u.Opaque != "" || u.Hostname() == "":
		return "", "", errors.New("host is missing")
	case u.Scheme == "http" && port == "":
		port = "80"
	case u.Scheme == "https" && port == "":
		port = "443"
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q is not between 1 and 65535", port)
	}
	name, _, _ := strings.Cut(u.Hostname(), "%") // a zone has no meaning to the other side (RFC 6874 §4)
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if strings.Trim(name, hostBytes) != "" {
		return "", "", errors.New("host has characters that no host name has, use the punycode form")
	}
	host = name
	if u.Port() != "" {
		host += ":" + port
	}
	return host, net.JoinHostPort(u.Hostname(), port), nil
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]"
