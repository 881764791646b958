package policy

import (
	"strings"

	"github.com/headgate/headgate/rpc"
)

// clipped is how many bytes of a field are written.
const clipped = 1024

// clip bounds a field of a log, which may come from outside, to 1 KiB of printable text.
func clip(s string) string {
	if len(s) <= clipped && printable(s) {
		return s
	}
	if len(s) > clipped {
		s = s[:clipped] + "…"
	}
	return strings.Map(rpc.Printable, strings.ToValidUTF8(s, "\ufffd"))
}

// printable reports whether text is of ASCII that shows, as most is.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
