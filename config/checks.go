package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name of an upstream. Clients show a tool as mcp__SERVER__UPSTREAM__TOOL within 64 characters:
// half of that is left for the tool.
const maxName = 32

// checks are the rules that the tags check and key name. Their errors continue a sentence that begins with the field, and do not
// quote the value, which may be a secret.
var checks = map[string]func(string) error{
	"access pattern": checkAccessPattern,
	"address":        checkAddress,
	"api key":        checkAPIKey,
	"destination":    checkFilled,
	"display name":   checkDisplayName,
	"filled":         checkFilled,
	"header value":   checkHeaderValue,
	"collector":      checkCollector,
	"header":         checkHeader,
	"hmac secret":    checkHMACSecret,
	"https":          checkWeb,
	"key hash":       checkKeyHash,
	"key id":         CheckKeyID,
	"label":          checkLabel,
	"limit name":     checkLimitName,
	"matched header": checkMatchedHeader,
	"model":          checkModel,
	"model name":     checkModels,
	"network":        checkNetwork,
	"origin":         checkOrigin,
	"path":           checkPath,
	"resource":       checkResource,
	"scope":          CheckScope,
	"text":           checkNoNUL,
	"upstream name":  checkName,
	"url":            checkURL,
	"variable":       checkVariable,
	"window":         checkWindow,
	"zone":           checkZone,
}

// checkName allows what goes into a tool name of every client, [A-Za-z0-9_-]. An underscore is followed by something else, so that
// NAME__* in a rule can mean the tools of one upstream only.
func checkName(s string) error {
	const rule = `must be letters, digits, "-" and single "_" in between, and begin with a letter or digit`
	for i := range len(s) {
		c := s[i]
		switch {
		case isNameByte(c, false) && c != '_', c == '-' && i > 0:
		case c == '_' && i > 0 && i+1 < len(s) && s[i+1] != '_':
		default:
			return errors.New(rule)
		}
	}
	if s == "" || len(s) > maxName {
		return fmt.Errorf("must have 1 to %d characters", maxName)
	}
	return nil
}

// maxDisplayName is the longest display name, in characters: it stands before what a server asks.
const maxDisplayName = 64

// checkDisplayName allows what shows on one line as it is, and cannot end the brackets that it is shown in.
func checkDisplayName(s string) error {
	switch n := utf8.RuneCountInString(s); {
	case n == 0 || n > maxDisplayName:
		return fmt.Errorf("must have 1 to %d characters", maxDisplayName)
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends with a space")
	case strings.ContainsAny(s, "[]"), strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("has a bracket or a character that does not show")
	}
	return nil
}

// checkPath allows the paths that the edge serves.
func checkPath(s string) error {
	if s == DefaultEndpoint {
		return nil
	}
	name, ok := strings.CutPrefix(s, DefaultEndpoint+"/")
	if !ok {
		return errors.New("must be /mcp or /mcp/NAME")
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("must be /mcp/NAME, where NAME %w", err)
	}
	return nil
}

// checkAddress allows HOST:PORT with a numeric port; 0 is a port of the system's choice.
func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("must be HOST:PORT, such as 127.0.0.1:8970")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must have a port from 0 to 65535")
	}
	if strings.ContainsAny(host, " /\\@?#%\x00") && !isZoned(host) {
		return errors.New("must be HOST:PORT without scheme and path")
	}
	return nil
}

// isZoned reports whether host is an IPv6 address with a zone, the only place for a percent sign.
func isZoned(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() != ""
}

// checkURL allows an absolute URL of HTTP or of a WebSocket. User information would be a secret in the wrong place; a fragment is never sent.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme):
		return errors.New("must begin with http://, https://, ws:// or wss://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must not hold a user or password; send them in headers")
	case strings.Contains(s, "#"):
		return errors.New("must not have a fragment (#…)")
	}
	if u.Port() == "" {
		return nil
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return errors.New("must have a port from 1 to 65535")
	}
	return nil
}

// checkOrigin allows what a browser sends as Origin (RFC 6454 §6.2). Neither "*" nor "null" names anyone.
func checkOrigin(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "*" || s == "null":
		return errors.New("would let any web page call; name each origin")
	case err != nil || u.Scheme == "" || u.Host == "":
		return errors.New("must be an origin such as https://app.example.com")
	case s != u.Scheme+"://"+strings.ToLower(u.Host):
		return errors.New("must be scheme://host[:port] in lower case, without path and without / at the end")
	}
	return nil
}

// reservedHeaders are those that the HTTP client or the protocol sets.
var reservedHeaders = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
	"last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "proxy-connection", "te", "trailer",
	"transfer-encoding", "upgrade",
}

// isReserved reports whether the gateway sets this header itself.
func isReserved(header string) bool {
	lower := strings.ToLower(header)
	return slices.Contains(reservedHeaders, lower) || strings.HasPrefix(lower, "mcp-param-")
}

// checkHeader allows a field name (RFC 9110 §5.1) that is the configuration's to set.
func checkHeader(s string) error {
	const special = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		if c := s[i]; !isNameByte(c, false) && strings.IndexByte(special, c) < 0 {
			return errors.New("has a character that no header name has")
		}
	}
	if s == "" {
		return errors.New("is empty")
	}
	if isReserved(s) {
		return errors.New("is set by Headgate itself")
	}
	return nil
}

// checkHeaderValue allows a field value (RFC 9110 §5.5): no line ends and no other control characters but tab.
func checkHeaderValue(s string) error {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return errors.New("has a line end or another control character")
		}
	}
	return nil
}

// checkVariable allows the name of a variable of a child's environment. Names are not expanded, so ${ in one is a mistake.
func checkVariable(s string) error {
	if s == "" || strings.ContainsAny(s, "=\x00") || strings.Contains(s, "${") {
		return errors.New("cannot name an environment variable")
	}
	return nil
}

// checkFilled refuses empty text.
func checkFilled(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	return checkNoNUL(s)
}

// checkNoNUL refuses what no operating system can pass on.
func checkNoNUL(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("has a NUL character")
	}
	return nil
}
