package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTerminalsAreSafe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\ttext\n":                    "plain\ttext\n",
		"\x1b]0;title\x07":                 "\ufffd]0;title\ufffd",
		"a\rb\x00\x9b\x7f":                 "a\ufffdb\ufffd\ufffd\ufffd",
		"left\u202etfel":                   "left\ufffdtfel",
		"emoji \U0001f468\u200d\U0001f469": "emoji \U0001f468\u200d\U0001f469",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestTablesAlign(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: &out}
	err := a.printTable([]string{"NAME", "NOTE"}, [][]string{{"a-long-name", "two\nlines"}, {"é", ""}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("NAME         NOTE\na-long-name  two lines\né            \n", out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "12345": "12345", "123456": "1234…", "éééééé": "éééé…", "123 56": "123…"} {
		if got := shorten(text, 5); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestArgumentsOfAToolInWords(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		``:                  ``,
		`{"type":"object"}`: ``,
		`{"properties":{"b":{},"a":{},"c":true},"required":["b"]}`: `b [a] [c]`,
		`{"properties":[]}`: ``,
	} {
		if got := (listed{schema: []byte(schema)}).arguments(); got != want {
			t.Errorf("%s: %q, want %q", schema, got, want)
		}
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	tools := []listed{{name: "files__read"}, {name: "memory__read"}, {name: "demo__add"}}
	for name, want := range map[string]string{
		"read":     "did you mean: files__read, memory__read",
		"demo_add": "did you mean: demo__add",
		"demo__ad": "did you mean: demo__add",
		"zzz":      "headgate tools lists what there is",
	} {
		if got := advice(name, tools); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
