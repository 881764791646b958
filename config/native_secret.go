package config

import (
	"fmt"
	"strings"
)

// secure returns a value as it must stand in the file: a secret becomes ${VARIABLE}. name says what the value is, variable how the
// environment variable is best called. Text that begins with a dollar sign was meant as a variable, of which a warning told.
func (w *nativeWriter) secure(source, name, variable, upstream, field string) string {
	literal, ok := plainText(source)
	if !ok || strings.HasPrefix(literal, "$") || !looksSecret(name) && !looksLikeCredential(literal) {
		return source
	}
	return "${" + w.variable(literal, variable, upstream, field) + "}"
}

// plainText returns what a template without variables stands for; ok is false when there is nothing or it has variables.
func plainText(source string) (string, bool) {
	t, _, err := parseTemplate(source)
	if err != nil || t.hasVariables() || t[0].text == "" {
		return "", false
	}
	return t[0].text, true
}

// notFile rewrites text that begins with file: for a place where that would read a secret: it puts nothing in front.
func notFile(source string) string {
	if strings.HasPrefix(source, "file:") {
		return "${NOT_A_FILE:-}" + source
	}
	return source
}

// variable makes a variable for a value. Equal values may share one; when another value has the name, the upstream is put in front, or a
// number behind.
func (w *nativeWriter) variable(value, name, upstream, field string) string {
	name, prefix := variableName(name), variableName(upstream)+"_"
	candidate := name
	for i := 2; ; i++ {
		have, taken := w.variables[candidate]
		if !taken {
			w.variables[candidate] = Variable{Name: candidate, Value: Secret(value), Field: field}
			return candidate
		}
		if have.Value.Reveal() == value {
			return candidate
		}
		if !strings.HasPrefix(name, prefix) {
			name = prefix + name
			candidate = name
			continue
		}
		candidate = fmt.Sprintf("%s_%d", name, i)
	}
}

// schemes are the words in front of a credential in a header.
var schemes = []string{"Bearer ", "Basic ", "Token ", "ApiKey "}

// secureHeader keeps the scheme in front of the secret.
func (w *nativeWriter) secureHeader(source, header, upstream, field string) string {
	variable := upstream + "_" + header
	if strings.EqualFold(header, "Authorization") {
		variable = upstream + "_TOKEN"
	}
	for _, scheme := range schemes {
		if len(source) > len(scheme) && strings.EqualFold(source[:len(scheme)], scheme) {
			return source[:len(scheme)] + w.secure(source[len(scheme):], header, variable, upstream, field)
		}
	}
	return w.secure(source, header, variable, upstream, field)
}

// secureArgs finds secrets behind flags (--api-key X, --api-key=X), in assignments (API_KEY=X) and by how they begin.
func (w *nativeWriter) secureArgs(args []string, upstream, path string) []string {
	out := make([]string, len(args))
	flag := ""
	for i, arg := range args {
		field := fmt.Sprintf("%s.args[%d]", path, i)
		source := w.source(arg)
		name, value, assigned := strings.Cut(source, "=")
		switch {
		case assigned && (looksSecret(name) || looksLikeCredential(value)):
			out[i] = name + "=" + w.secure(value, name, upstream+"_"+strings.TrimLeft(name, "-"), upstream, field)
		case flag != "" && !strings.HasPrefix(source, "-"):
			out[i] = w.secure(source, flag, upstream+"_"+flag, upstream, field)
		default:
			out[i] = source
			if looksLikeCredential(source) {
				out[i] = w.secure(source, "", upstream+"_TOKEN", upstream, field)
			}
		}
		flag = ""
		if strings.HasPrefix(source, "-") && !assigned {
			flag = strings.TrimLeft(source, "-")
		}
	}
	return out
}

// secureURL finds secrets in the path and the query.
func (w *nativeWriter) secureURL(source, upstream, field string) string {
	address, query, _ := strings.Cut(source, "?")
	segments := strings.Split(address, "/")
	for i, s := range segments {
		if looksLikeCredential(s) {
			segments[i] = w.secure(s, "", upstream+"_TOKEN", upstream, field)
		}
	}
	address = strings.Join(segments, "/")
	if query == "" {
		return address
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok && (looksSecret(name) || looksLikeCredential(value)) {
			pairs[i] = name + "=" + w.secure(value, name, upstream+"_"+name, upstream, field)
		}
	}
	return address + "?" + strings.Join(pairs, "&")
}
