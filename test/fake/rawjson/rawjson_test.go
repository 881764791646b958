package rawjson_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake/rawjson"
)

type member struct{ Name, Value string }

func members(text string) ([]member, error) {
	var got []member
	err := rawjson.Object([]byte(text), func(name, value []byte) bool {
		got = append(got, member{string(name), string(value)})
		return true
	})
	return got, err
}

func TestObjectKeepsTheBytesOfItsMembers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []member
	}{
		{"empty", ` { } `, nil},
		{"numbers as written", `{"a":1.0,"b":-0,"c":9007199254740993,"d":1E+2}`, []member{{"a", "1.0"}, {"b", "-0"}, {"c", "9007199254740993"}, {"d", "1E+2"}}},
		{"white space around", "{ \"a\" :\t[1, 2] ,\n\"b\" : null }", []member{{"a", "[1, 2]"}, {"b", "null"}}},
		{"quotes and slashes", `{"a":"x\"y","b":"\\","c":"\\\""}`, []member{{"a", `"x\"y"`}, {"b", `"\\"`}, {"c", `"\\\""`}}},
		{"brackets in strings", `{"a":{"b":"}]"},"c":["{"]}`, []member{{"a", `{"b":"}]"}`}, {"c", `["{"]`}}},
		{"names as written", `{"\u0061":true,"a":false}`, []member{{`\u0061`, "true"}, {"a", "false"}}},
		{"empty strings", `{"":""}`, []member{{"", `""`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := members(tt.text)
			if err != nil {
				t.Fatalf("Object(%s): %v", tt.text, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Object(%s) (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestObjectRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":1}x`, `{"a":"`, `{"a":"\"`, `{"a":{"b":1}`, `{"a":,}`, `{}{}`,
	} {
		if got, err := members(text); !errors.Is(err, rawjson.ErrMalformed) {
			t.Errorf("Object(%q) = %v, %v; want ErrMalformed", text, got, err)
		}
	}
}

func TestArrayVisitsElementsInOrder(t *testing.T) {
	t.Parallel()
	var got []string
	err := rawjson.Array([]byte(` [1, "a,b" ,{"c":[2]},[]] `), func(value []byte) bool {
		got = append(got, string(value))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`1`, `"a,b"`, `{"c":[2]}`, `[]`}, got); diff != "" {
		t.Errorf("Array (-want +got):\n%s", diff)
	}
}

func TestMemberStopsAtTheFirst(t *testing.T) {
	t.Parallel()
	if got := string(rawjson.Member([]byte(`{"a":1,"b":2,"b":3, broken`), "b")); got != "2" {
		t.Errorf("Member = %q, want 2", got)
	}
	if got := rawjson.Member([]byte(`{"a":1}`), "b"); got != nil {
		t.Errorf("Member of a missing name = %q, want nil", got)
	}
	if got := rawjson.Member([]byte(`{"a":1`), "b"); got != nil {
		t.Errorf("Member of a broken text = %q, want nil", got)
	}
}

func TestTextResolvesEscapes(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{`"plain"`: "plain", `"\u00e9\n"`: "é\n", `""`: ""} {
		if got, err := rawjson.Text([]byte(raw)); err != nil || got != want {
			t.Errorf("Text(%s) = %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{``, `1`, `"`, `"\x"`} {
		if _, err := rawjson.Text([]byte(raw)); !errors.Is(err, rawjson.ErrMalformed) {
			t.Errorf("Text(%s): %v, want ErrMalformed", raw, err)
		}
	}
}

// FuzzObject compares with encoding/json: every valid object is walked, and its members are the ones the decoder sees.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"b":[{"c":"\\\""}],"d":-0.5e7}`, `{"a":"\"","b":{}}`, `{"a":1}x`, `[1,2]`, `{"a":tru}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]json.RawMessage{}
		err := rawjson.Object(text, func(name, value []byte) bool {
			var decoded string
			if json.Unmarshal([]byte(`"`+string(name)+`"`), &decoded) == nil {
				got[decoded] = value
			}
			return true
		})
		var want map[string]json.RawMessage
		if json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		if err != nil {
			t.Fatalf("Object(%q): %v, but encoding/json accepts it", text, err)
		}
		for name, value := range want {
			if string(got[name]) != string(value) {
				t.Errorf("member %q of %q = %s, want %s", name, text, got[name], value)
			}
		}
	})
}
