package config

import (
	"slices"
	"strings"
	"unicode"
)

// secretWords are the words in a name that say that its value is secret.
var secretWords = []string{
	"apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "key", "pass", "passphrase", "passwd", "password",
	"pat", "pwd", "secret", "token",
}

// secretPrefixes are how well-known kinds of credentials begin.
var secretPrefixes = []string{
	"AIza", "AKIA", "ASIA", "eyJ", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "hf_", "lin_api_", "ntn_", "sk-", "sk_", "xoxa-",
	"xoxb-", "xoxp-", "xoxr-", "ya29.",
}

// looksSecret reports whether a name (a header, a variable, a flag) says that its value is secret.
func looksSecret(name string) bool {
	words := strings.FieldsFunc(splitCamel(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, strings.ToLower(w)) })
}

// splitCamel puts a space where a capital follows a small letter: apiKey is two words.
func splitCamel(name string) string {
	var b strings.Builder
	small := false
	for _, r := range name {
		if small && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		b.WriteRune(r)
	}
	return b.String()
}

// looksLikeCredential reports whether a value is a credential by itself, whatever its name.
func looksLikeCredential(value string) bool {
	return len(value) >= 16 && slices.ContainsFunc(secretPrefixes, func(p string) bool { return strings.HasPrefix(value, p) })
}
