package subscription

import (
	"iter"
	"strings"
)

// maxSegments bounds how deep a resource may lie below the one that is subscribed to.
const maxSegments = 64

// ancestors yields a URI and those it may be a sub-resource of, the nearest first: an
// update may be about a part of what a client subscribed to (MCP 2025-11-25, Resources,
// Subscriptions). The parent is meant with and without the separator at its end.
func ancestors(uri string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(uri) {
			return
		}
		rest := uri
		for range maxSegments {
			i := strings.LastIndexAny(rest, "/?#")
			if i <= 0 || rest[i-1] == ':' || rest[i-1] == '/' {
				return // what is left is a scheme or an authority
			}
			if i+1 < len(uri) && !yield(uri[:i+1]) || !yield(uri[:i]) {
				return
			}
			rest = rest[:i]
		}
	}
}
