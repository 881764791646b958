package catalog

import "strings"

// appScheme begins the URIs of the resources that are user interfaces (MCP Apps).
// Servers choose them without a thought for others, so they always say whose they
// are.
const appScheme = "ui:"

// mark stands between an upstream's name and what it calls a resource. No name of
// an upstream holds it.
const mark = "+"

// qualify returns the URI, or URI template, under which a merged endpoint always
// knows an upstream's resource: the upstream's name and the mark are put behind the
// scheme, or in front where there is none. The rest keeps its bytes, so the
// expressions of a template (RFC 6570) keep their meaning.
func qualify(upstream, uri string) string {
	at := authority(uri)
	return uri[:at] + upstream + mark + uri[at:]
}

// unqualify undoes [qualify]. Whether the name is an upstream's is the caller's to
// find out.
func unqualify(uri string) (upstream, own string, ok bool) {
	at := authority(uri)
	upstream, rest, ok := strings.Cut(uri[at:], mark)
	return upstream, uri[:at] + rest, ok && upstream != ""
}

// authority returns where a URI goes on behind its scheme and the slashes after it
// (RFC 3986, section 3). A scheme that holds the mark counts as none, so that what
// is qualified in front of it can be told from it.
func authority(uri string) int {
	for i := range len(uri) {
		switch c := uri[i] | 0x20; {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= uri[i] && uri[i] <= '9' || strings.IndexByte("-.", uri[i]) >= 0):
		case i > 0 && uri[i] == ':':
			if strings.HasPrefix(uri[i:], "://") {
				return i + len("://")
			}
			return i + len(":")
		default:
			return 0
		}
	}
	return 0
}
