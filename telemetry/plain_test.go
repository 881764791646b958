package telemetry

import (
	"slices"
	"strings"
	"testing"
)

// What most lines are made of takes the short way.
func TestWordsArePlain(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "call", "tools/call", "files__read_text_file", "/mcp", "127.0.0.1:54321", "[::1]:80", "17", "ok", "upstream_down", "INFO",
		`upstream "files": dial tcp 127.0.0.1:8080: connect: connection refused`, "https://files.example.com:8443/mcp",
		"2026-11-22T12:00:00.000Z",
	} {
		if !plain(text, fieldLimit) {
			t.Errorf("%q takes the long way", text)
		}
	}
}

func FuzzPlain(f *testing.F) {
	secrets := []string{
		"Bearer abcdefgh", "basic abcdefgh", "DPoP\tabcdefgh", "AIzaabcdefghijkl", "AKIAabcdefghijkl", "ghp_abcdefghijkl", "github_pat_abcdefghijkl",
		"glpat-abcdefghijkl", "hf_abcdefghijkl", "hgk_abcdefghijkl", "lin_api_abcdefghijkl", "npm_abcdefghijkl", "ntn_abcdefghijkl", "pk-abcdefghijkl",
		"rk_abcdefghijkl", "sk-abcdefghijkl", "whsec_abcdefghijkl", "xoxb-abcdefghijkl", "ya29.abcdefghijkl", "eyJhbGciOiJ.x", "://u:p@h", "password=x",
		`"api_keys\": \"x`, "access-key: abcdefg1", "authorization:x", "cookie=x", "credential=x", "passphrase=x", "passwd=x", "private_key=x", "pwd=x",
		"secret=x", "signature=x", "tokens=x", "q7Rz2LwK9sTfV4xB8nYcJ3mP", "a…", "\x7f", "é", "ſecret=x", "toKen=x",
	}
	for _, s := range secrets {
		f.Add(s)
		f.Add("a " + s)
		f.Add("a-" + s + " b")
		f.Add(strings.ToUpper(s))
	}
	f.Fuzz(func(t *testing.T, s string) {
		nothing := newKnownSecrets(nil)
		if plain(s, 64) && clean(s, 64, nothing.hide) != s {
			t.Errorf("%q is %q, and was taken for plain", s, clean(s, 64, nothing.hide))
		}
	})
}

func FuzzKnownSecrets(f *testing.F) {
	f.Add("abc s3cr3t! def", "s3cr3t!")
	f.Add("a%20b%2Fcdef", "a b/cdef")
	f.Add("s3cr3", "s3cr3t")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < shortestSecret {
			return
		}
		k := newKnownSecrets([]string{secret, "another secret"})
		if got, want := k.hide(text), k.replacer.Replace(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestNamesAreRemembered(t *testing.T) {
	t.Parallel()
	var table nameTable
	for range 3 {
		if !table.has("client_secret") || table.has("method") {
			t.Fatal("a name is taken for another")
		}
	}
	for i := range 2 * mostNames {
		table.has(strings.Repeat("x", i%1000) + string(rune('a'+i%26)))
	}
	if n := len(*table.known.Load()); n > mostNames {
		t.Errorf("%d names are remembered", n)
	}
	if !table.has("a_new_token") || slices.Contains([]bool{table.has("a_new_word")}, true) {
		t.Error("names are not judged when the table is full")
	}
}
