package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

const (
	// redacted stands where a secret was.
	redacted = "[redacted]"
	// fieldLimit is how many bytes of a field are written, and traceLimit of the stack of a panic.
	fieldLimit, traceLimit = 1 << 10, 16 << 10
	// rawField holds a message as it was received, of which rawLimit bytes are written.
	rawField, rawLimit = "raw", 2000
	// shortestSecret is the length of the shortest value that is looked for in all text: what is shorter is a flag or a
	// number, and stands anywhere.
	shortestSecret = 6
)

// redactor is a handler that keeps out of the log what does not belong there: secrets, by the name of a field, by their
// value and by how they look; characters that could forge lines or drive a terminal; and most of what is very long. It
// sees records that are written and no others, so that what it costs is bounded by what is logged.
type redactor struct {
	next  slog.Handler
	known *knownSecrets
}

// newRedactor returns a handler in front of another.
func newRedactor(next slog.Handler, known *knownSecrets) *redactor {
	return &redactor{next: next, known: known}
}

// Enabled implements [slog.Handler].
func (h *redactor) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *redactor) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.text(r.Message, fieldLimit), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (h *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return &redactor{next: h.next.WithAttrs(clean), known: h.known}
}

// WithGroup implements [slog.Handler].
func (h *redactor) WithGroup(name string) slog.Handler {
	return &redactor{next: h.next.WithGroup(name), known: h.known}
}

func (h *redactor) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	limit := limitOf(a.Key)
	switch kind := value.Kind(); {
	case kind == slog.KindGroup:
		members := value.Group()
		clean := make([]slog.Attr, len(members))
		for i, m := range members {
			clean[i] = h.attr(m)
		}
		value = slog.GroupValue(clean...)
	case kind != slog.KindString && kind != slog.KindAny: // numbers and times
	case namesSecret(a.Key):
		value = slog.StringValue(redacted)
	case kind == slog.KindString:
		value = slog.StringValue(h.text(value.String(), limit))
	default:
		value = h.any(value, limit)
	}
	return slog.Attr{Key: a.Key, Value: value}
}

// any cleans what is logged as a whole. What holds nothing that has to go stays what it is.
func (h *redactor) any(v slog.Value, limit int) slog.Value {
	if err, ok := v.Any().(error); ok {
		return slog.StringValue(h.text(err.Error(), limit))
	}
	if written, whole := h.known.whole(v.Any(), limit); !whole {
		return slog.StringValue(written)
	}
	return v
}

func (h *redactor) text(s string, limit int) string { return h.known.text(s, limit) }

// limitOf is how many bytes are written of a field.
func limitOf(name string) int {
	switch name {
	case "stack":
		return traceLimit
	case rawField:
		return rawLimit
	}
	return fieldLimit
}

// text cleans text, at most twice the limit of it, and cuts it.
func (k *knownSecrets) text(s string, limit int) string {
	if plain(s, limit) && !k.mayBeIn(s) {
		return s
	}
	return clean(s, limit, k.hide)
}

// whole returns a value as JSON, cleaned, and reports whether there was nothing to clean.
func (k *knownSecrets) whole(v any, limit int) (text string, whole bool) {
	written, err := json.Marshal(v)
	if err != nil {
		return "[cannot be written]", false
	}
	text = k.text(string(written), limit)
	return text, text == string(written)
}

func clean(s string, limit int, hideKnown func(string) string) string {
	whole := s
	s = cut(s, 2*limit) // a secret that the limit would cut in two is seen whole
	s = hideKnown(s)
	s = hideSecrets(s)
	s = strings.Map(printable, s)
	if s = cut(s, limit); len(s) < len(whole) && len(whole) > limit {
		s += "…"
	}
	return s
}

// cut returns the beginning of s, of at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// printable replaces what could forge or hide lines, except the line ends of stacks, which the log escapes.
func printable(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	return rpc.Printable(r)
}

// secretNames are parts of names that say that a value is secret, without what separates words.
var secretNames = []string{
	"accesskey", "apikey", "authorization", "bearer", "cookie", "credential", "passphrase", "passwd", "password", "privatekey",
	"pwd", "secret", "signature", "token",
}

// namesSecret reports whether the value of a field of this name is a secret.
func namesSecret(name string) bool {
	plain := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name))
	return slices.ContainsFunc(secretNames, func(part string) bool { return strings.Contains(plain, part) })
}

// Clean returns text from outside as it may be written down where no logger writes: without what looks like a secret,
// without characters that could forge lines, and at most 1 KiB of it.
func Clean(s string) string { return clean(s, fieldLimit, func(s string) string { return s }) }

// How secrets look that nobody has told us of. What is shorter than they are is the beginning of one where an ellipsis
// follows.
var (
	// A scheme of RFC 9110 §11.4 and what follows it.
	scheme = regexp.MustCompile(`(?i)\b(bearer|basic|dpop)(\s+)(?:[A-Za-z0-9._~+/=-]{8,}|[A-Za-z0-9._~+/=-]*…)`)
	// Prefixes by which issuers make their credentials known, and JSON Web Tokens.
	prefixed = regexp.MustCompile(`\b(?:AIza|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|hf_|hgk_|lin_api_|npm_|ntn_|[prs]k[-_]|whsec_|xox[abeoprs]-|ya29\.)(?:[A-Za-z0-9_.\-]{12,}|[A-Za-z0-9_.\-]*…)|\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)+|\beyJ[A-Za-z0-9_-]*…`)
	// The user and the password of an address (RFC 3986 §3.2.1).
	userinfo = regexp.MustCompile(`://(?:[^/\s?#"'<>]+@|[^/\s?#"'<>:]+:[^/\s?#"'<>0-9][^/\s?#"'<>]*…)`)
	// A member of a query, a header or an object that is named as a secret.
	named = regexp.MustCompile(`(?i)([a-z0-9_-]*(?:access[_-]?key|api[_-]?key|authorization|cookie|credential|passphrase|passwd|password|private[_-]?key|pwd|secret|signature|token)s?["'\\]*)(=|:\s?["'\\]+|:|: )([^\s"'\\&,;}\])]+)`)
	// What may be random: words, as the encodings of random bytes have them.
	word = regexp.MustCompile(`[A-Za-z0-9_+=-]{24,}`)
)

// hideSecrets replaces what looks like a secret.
func hideSecrets(s string) string {
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "://"+redacted+"@")
	}
	if len(s) < shortestSecret {
		return s
	}
	s = scheme.ReplaceAllString(s, "$1$2"+redacted)
	s = prefixed.ReplaceAllString(s, redacted)
	if strings.ContainsAny(s, "=:") {
		s = named.ReplaceAllStringFunc(s, hideNamed)
	}
	return word.ReplaceAllStringFunc(s, hideRandom)
}

// hideNamed hides the value of a name. Behind a colon and a space there may be words as well ("token: expired"), of
// which a secret differs by its digits.
func hideNamed(match string) string {
	parts := named.FindStringSubmatch(match)
	if parts[3]+"]" == redacted { // it was hidden before
		return match
	}
	if parts[2] == ": " && (len(parts[3]) < 8 || !strings.ContainsAny(parts[3], "0123456789")) {
		return match
	}
	return parts[1] + parts[2] + redacted
}

// hideRandom hides a word that changes too often between letters of both cases and digits to be made of words.
func hideRandom(w string) string {
	var kinds [3]int
	changes, last := 0, -1
	for i := range len(w) {
		var kind int
		switch c := w[i]; {
		case 'A' <= c && c <= 'Z':
			kind = 0
		case 'a' <= c && c <= 'z':
			kind = 1
		case '0' <= c && c <= '9':
			kind = 2
		default:
			continue
		}
		kinds[kind]++
		if last >= 0 && kind != last {
			changes++
		}
		last = kind
	}
	if kinds[0] < 2 || kinds[1] < 2 || kinds[2] < 2 || changes*100 < 45*len(w) {
		return w
	}
	return redacted
}
