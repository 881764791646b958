package edge

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// protocolPrefix is how all header fields of the protocol begin.
const protocolPrefix = "Mcp-"

// checkFields refuses header fields that two readers could understand in two ways:
// repeated ones that decide something, values with bytes beyond visible ASCII, space
// and tab, and names that some proxies take for other ones because they read an
// underscore as a hyphen.
func checkFields(h http.Header) error {
	for name, values := range h {
		decides := isDecisive(name)
		if decides && len(values) > 1 {
			return ambiguous(name, "is repeated")
		}
		for _, v := range values {
			if !isPrintable(v) {
				return ambiguous(name, "holds a byte that is not visible ASCII")
			}
		}
		if !decides && strings.Contains(name, "_") && isDecisive(hyphenated(name)) {
			return ambiguous(hyphenated(name), "is written with an underscore")
		}
	}
	return nil
}

// ambiguous refuses a field. Those that mirror the body have an error of their own
// (SEP-2243).
func ambiguous(name, what string) error {
	code := rpc.InvalidRequest
	if strings.HasPrefix(name, protocolPrefix) && name != headerSession {
		code = rpc.HeaderMismatch
	}
	return rpc.Errorf(code, "header %s %s", rpc.Excerpt(name), what)
}

// isDecisive reports whether a field decides who asks, what is asked or how it is
// read. The name is in canonical form.
func isDecisive(name string) bool {
	switch name {
	case "Authorization", "X-Api-Key", "Origin", "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Host", headerLastEvent:
		return true
	}
	return strings.HasPrefix(name, protocolPrefix)
}

func hyphenated(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

func isPrintable(v string) bool {
	for i := range len(v) {
		if (v[i] < 0x20 || v[i] > 0x7e) && v[i] != '\t' {
			return false
		}
	}
	return true
}
