package upstream

// tchar marks the bytes of a token (RFC 9110 §5.6.2).
var tchar = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()

func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tchar[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// isFieldByte reports whether a header value may hold c: no control character but tab; bytes above ASCII are opaque
// (RFC 9110 §5.5).
func isFieldByte(c byte) bool { return c >= ' ' && c != 0x7F || c == '\t' }

func isFieldValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if !isFieldByte(s[i]) {
			return false
		}
	}
	return true
}

// visible reports whether s is visible ASCII only.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}
