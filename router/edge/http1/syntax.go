package http1

// Classes of bytes.
const (
	inToken uint8 = 1 << iota // RFC 9110 §5.6.2
	inPath                    // of a target, and means itself there (RFC 3986 §3.3)
	inHost                    // of a host and its port (RFC 3986 §3.2)
)

// classes tells of each byte where it may stand.
var classes = func() (t [256]uint8) {
	for c := range t {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			t[c] = inToken | inPath | inHost
		}
	}
	for _, mark := range []struct {
		bytes string
		class uint8
	}{{"!#$%&'*+-.^_`|~", inToken}, {"-._~!$&'()*+,;=:@/", inPath}, {"-._~!$&'()*+,;=:[]%", inHost}} {
		for _, c := range []byte(mark.bytes) {
			t[c] |= mark.class
		}
	}
	return t
}()

func isToken[T string | []byte](s T) bool { return len(s) > 0 && all(s, inToken) }

func isPlainPath(s string) bool { return all(s, inPath) }

// isHost reports whether a Host field may hold s. An empty one is that of a target without a host.
func isHost(s string) bool { return all(s, inHost) }

func all[T string | []byte](s T, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}
