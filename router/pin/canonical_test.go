package pin

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"space and order":         {" { \"b\" : [ 1 , { } ] ,\n\"a\" : true } ", `{"a":true,"b":[1,{}]}`},
		"empty":                   {`[ ]`, `[]`},
		"a scalar":                {` "a" `, `"a"`},
		"escapes that are none":   {`"\u0061\/\n\u00e9"`, `"a/\u000aé"`},
		"names are compared read": {`{"b":1,"\u0061":2}`, `{"a":2,"b":1}`},
		"numbers stay":            {`[9007199254740993, 1.0, 1e2, -0]`, `[9007199254740993,1.0,1e2,-0]`},
		"members of one name":     {`{"b":1,"a":2,"a":1}`, `{"a":2,"a":1,"b":1}`},
		"half a character":        {`"\ud800\u0061"`, `"\ud800\u0061"`},
		"nesting":                 {`{"z":{"d":[{"b":1,"a":[]}],"c":null}}`, `{"z":{"c":null,"d":[{"a":[],"b":1}]}}`},
		"quotes and backslashes":  {`{"\"\\":"\\\""}`, `{"\"\\":"\\\""}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Canonical([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, text := range []string{"", "{", `{"a"}`, "tru", `{} {}`} {
		if got, err := Canonical([]byte(text)); err == nil {
			t.Errorf("%q: %s, want an error", text, got)
		}
	}
}

// The hash is the same only for the same server and the same definition, wherever one ends and the other begins.
func TestHashTellsServersApart(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, pair := range [][2]string{{"", `"ab"`}, {"a", `"ab"`}, {`"`, `ab"`}, {"b", `"ab"`}, {"a", `"a"`}} {
		all[Hash(pair[0], []byte(pair[1]))] = true
	}
	if len(all) != 5 {
		t.Errorf("%d hashes of 5 definitions", len(all))
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,{"a":null}],"a":"\u00e9\ud800\n"}`, `{"a":1,"a":2}`, `[[[]]]`, ` "x" `, `-0.1e+5`, `{"":{"":[]}}`, "\"\xff\"", `{"\ud83d\ude00":"😀"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := Canonical(text)
		if err != nil {
			if json.Valid(text) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if !json.Valid(once) {
			t.Fatalf("%q is no JSON", once)
		}
		twice, err := Canonical(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q, again %q, %v", once, twice, err)
		}
		var before, after any
		if json.Unmarshal(text, &before) == nil && json.Unmarshal(once, &after) == nil {
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatalf("it says something else: %s", diff)
			}
		}
		Scan("name", once)
		Names{"tool_x": {"u"}}.Mentions("v", once)
		compareFields(text, once)
	})
}
