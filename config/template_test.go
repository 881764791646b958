package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	env := lookup(func(name string) (string, bool) {
		value, ok := map[string]string{"A": "a", "EMPTY": "", "_1": "one", "TRICKY": "${A} $A $$ } ${", "B": "b"}[name]
		return value, ok
	})
	tests := []struct {
		source string
		want   evaluation
		fails  string
	}{
		{source: "", want: evaluation{}},
		{source: "plain", want: evaluation{text: "plain"}},
		{source: "${A}", want: evaluation{text: "a"}},
		{source: "x${A}y${B}z", want: evaluation{text: "xaybz"}},
		{source: "${A}${A}", want: evaluation{text: "aa"}},
		{source: "${_1}", want: evaluation{text: "one"}},
		{source: "${C:-default}", want: evaluation{text: "default"}},
		{source: "${EMPTY:-default}", want: evaluation{text: "default"}},
		{source: "${C:-}", want: evaluation{}},
		{source: "${C:-a:-b}", want: evaluation{text: "a:-b"}},
		{source: "${C:-127.0.0.1:80}", want: evaluation{text: "127.0.0.1:80"}},
		{source: "${C:-${A}}", want: evaluation{text: "a"}},
		{source: "${C:-x${D:-y${B}}z}", want: evaluation{text: "xybz"}},
		{source: "${C:-$$}", want: evaluation{text: "$"}},
		{source: "${A:-${UNSET}}", want: evaluation{text: "a"}},
		{source: "${C:-${UNSET}}", want: evaluation{unset: []string{"UNSET"}}},
		{source: "${EMPTY}", want: evaluation{empty: []string{"EMPTY"}}},
		{source: "x${UNSET}y${ALSO}", want: evaluation{text: "xy", unset: []string{"UNSET", "ALSO"}}},
		{source: "$$", want: evaluation{text: "$"}},
		{source: "$$A $${A} $$$$", want: evaluation{text: "$A ${A} $$"}},
		{source: "$$${A}", want: evaluation{text: "$a"}},
		{source: "$", want: evaluation{text: "$"}},
		{source: "a $ b $5 $-", want: evaluation{text: "a $ b $5 $-"}},
		{source: "$A", want: evaluation{text: "$A"}},
		{source: "}", want: evaluation{text: "}"}},
		{source: "${A}}", want: evaluation{text: "a}"}},
		{source: "${TRICKY}", want: evaluation{text: "${A} $A $$ } ${"}},
		{source: "${C:-${TRICKY}}", want: evaluation{text: "${A} $A $$ } ${"}},
		{source: "é${A}é", want: evaluation{text: "éaé"}},
		{source: "${", fails: "has a ${ without }"},
		{source: "${A", fails: "has a ${ without }"},
		{source: "${A:-", fails: "has a ${ without }"},
		{source: "${A:-${B}", fails: "has a ${ without }"},
		{source: "${A$B}", fails: "has a ${ without }"},
		{source: "${}", fails: "has ${}, which names no variable"},
		{source: "${:-x}", fails: "has ${}, which names no variable"},
		{source: "${ A }", fails: "has ${ A }, which names no variable"},
		{source: "${1}", fails: "has ${1}, which names no variable"},
		{source: "${A-x}", fails: "has ${A-x}, which names no variable"},
		{source: "${A:?x}", fails: "has ${A:?x}, which names no variable"},
		{source: "${É}", fails: "has ${É}, which names no variable"},
		{source: "${env:A}", fails: "has ${env:A}; here that is ${A}"},
		{source: "${A:-" + strings.Repeat("${A:-", maxNesting) + strings.Repeat("}", maxNesting+1), fails: "has more than 8 defaults inside each other"},
	}
	for _, test := range tests {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			parsed, _, err := parseTemplate(test.source)
			var got evaluation
			if err == nil {
				got, err = parsed.evaluate(env)
			}
			if message := errorText(err); message != test.fails {
				t.Fatalf("error %q, want %q", message, test.fails)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(evaluation{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestExpandIsBounded(t *testing.T) {
	t.Parallel()
	parsed, _, err := parseTemplate(strings.Repeat("${A}", 100))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parsed.evaluate(func(string) (string, bool, error) { return strings.Repeat("x", maxFile/10), true, nil })
	if got := errorText(err); got != "is longer than 1MiB" {
		t.Errorf("error %q", got)
	}
}

func TestBareVariablesAreFound(t *testing.T) {
	t.Parallel()
	_, bare, err := parseTemplate("$A ${B} $$C $_d1- $5 ${E:-$F} $")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A", "_d1", "F"}, bare); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzTemplate checks that escaped text is not expanded, and that a rewritten template means what it meant.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "$", "$$", "${A}", "${A:-b}", "${A:-${B:-c}}", "}$", "${", "x$A${B}"} {
		f.Add(seed)
	}
	same := func(name string) (segment, error) { return segment{ref: &reference{name: name}}, nil }
	value := func(name string) (string, bool, error) { return name, len(name)%2 == 0, nil }
	f.Fuzz(func(t *testing.T, source string) {
		escaped, bare, err := parseTemplate(escape(source))
		if got, _ := escaped.evaluate(value); err != nil || got.text != source || len(bare) > 0 {
			t.Errorf("escape: %q became %q (%v, %v)", source, got.text, bare, err)
		}
		parsed, _, err := parseTemplate(source)
		if err != nil {
			return
		}
		want, wantErr := parsed.evaluate(value)
		rewritten, err := parsed.rewrite(same)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := parseTemplate(rewritten)
		if err != nil {
			t.Fatalf("%q was rewritten as %q: %v", source, rewritten, err)
		}
		got, gotErr := again.evaluate(value)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(evaluation{})); diff != "" || (wantErr == nil) != (gotErr == nil) {
			t.Errorf("%q was rewritten as %q\n%s", source, rewritten, diff)
		}
	})
}
