package mcp

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

// HTTP header fields of the protocol, in canonical form.
const (
	HeaderVersion     = "Mcp-Protocol-Version"
	HeaderSession     = "Mcp-Session-Id"
	HeaderMethod      = "Mcp-Method"
	HeaderName        = "Mcp-Name"
	HeaderParamPrefix = "Mcp-Param-"
	HeaderLastEvent   = "Last-Event-Id"
)

const (
	sentinelOpen  = "=?base64?"
	sentinelClose = "?="
)

// EncodeHeader writes a value as SEP-2243 has it: as it is where a header can hold
// it, else base64 of its UTF-8 between =?base64? and ?=.
func EncodeHeader(value string) string {
	if isPlain(value) {
		return value
	}
	return sentinelOpen + base64.StdEncoding.EncodeToString([]byte(value)) + sentinelClose
}

// DecodeHeader undoes [EncodeHeader]. It returns false for base64 that is no base64
// of UTF-8, and for a value that had to be encoded and was not.
func DecodeHeader(value string) (string, bool) {
	if !isSentinel(value) {
		return value, isPlain(value)
	}
	text, err := base64.StdEncoding.Strict().DecodeString(value[len(sentinelOpen) : len(value)-len(sentinelClose)])
	return string(text), err == nil && utf8.Valid(text)
}

func isSentinel(v string) bool {
	return len(v) >= len(sentinelOpen)+len(sentinelClose) &&
		strings.HasPrefix(v, sentinelOpen) && strings.HasSuffix(v, sentinelClose)
}

// isPlain reports whether a value may stand in a header as it is.
func isPlain(v string) bool {
	if v == "" {
		return true
	}
	if isSentinel(v) || isBlank(v[0]) || isBlank(v[len(v)-1]) {
		return false
	}
	for i := range len(v) {
		if (v[i] < 0x20 || v[i] > 0x7e) && v[i] != '\t' {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// CheckHeaders compares the headers of a modern request with its body, which alone
// decides (SEP-2243). The error has code HeaderMismatch.
func CheckHeaders(h http.Header, m *rpc.Message) error {
	if err := checkVersion(h, m); err != nil {
		return err
	}
	if !m.IsRequest() {
		return nil // the rules for notifications are undefined, so none are enforced
	}
	switch v, ok := one(h, HeaderMethod); {
	case !ok:
		return mismatch(HeaderMethod, "is missing or repeated")
	case v != m.Method:
		return mismatch(HeaderMethod, "is "+rpc.Excerpt(v)+" but the body says "+rpc.Excerpt(m.Method))
	}
	field := MirroredSubject(m.Method)
	if field == "" {
		return nil
	}
	want, ok := m.Text(string(field))
	if !ok {
		return rpc.Errorf(rpc.InvalidParams, "params.%s must be a string", field)
	}
	return checkValue(h, HeaderName, want)
}

func checkVersion(h http.Header, m *rpc.Message) error {
	version, ok := one(h, HeaderVersion)
	if !ok {
		return mismatch(HeaderVersion, "is missing or repeated")
	}
	if body, _ := m.MetaText(MetaVersion); body != version && (m.IsRequest() || body != "") {
		return mismatch(HeaderVersion, "is "+rpc.Excerpt(version)+" but the body says "+rpc.Excerpt(body))
	}
	return nil
}

func checkValue(h http.Header, name, want string) error {
	v, ok := one(h, name)
	if !ok {
		return mismatch(name, "is missing or repeated")
	}
	got, ok := DecodeHeader(v)
	if !ok {
		return mismatch(name, "is malformed: "+rpc.Excerpt(v))
	}
	if got != want {
		return mismatch(name, "is "+rpc.Excerpt(got)+" but the body says "+rpc.Excerpt(want))
	}
	return nil
}

// one returns the value of a field that stands exactly once.
func one(h http.Header, name string) (string, bool) {
	v := h[name]
	if len(v) != 1 {
		return "", false
	}
	return v[0], true
}

func mismatch(name, what string) *rpc.Error {
	return rpc.Errorf(rpc.HeaderMismatch, "header %s %s", name, what)
}
