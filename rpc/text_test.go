package rpc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

func TestUnquote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`""`:                                   "",
		`"plain"`:                              "plain",
		`"\"\\\/\b\f\n\r\t"`:                   "\"\\/\b\f\n\r\t",
		`"\u0041\u00e9\u20AC\uffff"`:           "Aé€\uffff",
		`"\u0000"`:                             "\x00",
		`"\ud83d\ude00"`:                       "😀",
		`"\uDBFF\uDFFF"`:                       "\U0010ffff",
		`"a\ud83d\ude00\u0062é\n"`:             "a😀bé\n",
		`"\ufffd"`:                             "\ufffd",
		`"` + strings.Repeat(`\\`, 5000) + `"`: strings.Repeat(`\`, 5000),
	} {
		if got, err := rpc.Unquote([]byte(text)); err != nil || got != want {
			t.Errorf("Unquote(%.60s) = %.60q, %v; want %.60q", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, `"`, `x`, `1`, `"a`, `a"`, `"\"`, `"\x"`, `"\u"`, `"\u12"`, `"\u123g"`, `"\u+123"`, `"\U0041"`,
		`"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\ud800x"`, `"\ud800\n"`, `"\ud800\u0041"`, `"\ud83d\u"`, `"\ud83d\ude0"`,
	} {
		if got, err := rpc.Unquote([]byte(text)); err == nil {
			t.Errorf("Unquote(%s) = %q", text, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                    `""`,
		"plain é 😀 </&\u2028": "\"plain é 😀 </&\u2028\"",
		"\"\\":                `"\"\\"`,
		"\x00\x1f\n\t\x7f":    "\"\\u0000\\u001f\\u000a\\u0009\x7f\"",
		"a\xffb\xed\xa0\x80":  "\"a\ufffdb\ufffd\ufffd\ufffd\"",
	} {
		if got := string(rpc.AppendString([]byte("x"), s)); got != "x"+want {
			t.Errorf("AppendString(%q) = %s, want x%s", s, got, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"add":                         `"add"`,
		"a\r\nINFO forged":            "\"a\ufffd\ufffdINFO forged\"",
		"\x1b[31m\x7f\u0085":          "\"\ufffd[31m\ufffd\ufffd\"",
		"\u202eabc\u2066\u200b\u061c": "\"\ufffdabc\ufffd\ufffd\ufffd\"",
		`quote " and \`:               `"quote \" and \\"`,
		strings.Repeat("x", 64):       `"` + strings.Repeat("x", 64) + `"`,
		strings.Repeat("x", 65):       `"` + strings.Repeat("x", 64) + `…"`,
		strings.Repeat("x", 62) + "😀": `"` + strings.Repeat("x", 62) + `…"`,
		strings.Repeat("\x80", 100):   `"…"`,
	} {
		got := rpc.Excerpt(s)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("Excerpt(%q) = %s, want %s", s, got, want)
		}
	}
	if got := rpc.Excerpt(strings.Repeat("\"", 1<<20)); len(got) > 140 {
		t.Errorf("an excerpt of %d bytes", len(got))
	}
}
