package rpc_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

func TestReadObject(t *testing.T) {
	t.Parallel()
	o, err := rpc.ReadObject([]byte(` { "ID" : 1 , "Id":2, "id":3, "n\u0061me" : "x\u0009y" , "" : null, "\u0000":[ ] } `))
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]string
	o.Each(func(name string, value json.RawMessage) bool {
		got = append(got, [2]string{name, string(value)})
		return true
	})
	want := [][2]string{{"ID", "1"}, {"Id", "2"}, {"id", "3"}, {"name", `"x\u0009y"`}, {"", "null"}, {"\x00", "[ ]"}}
	if diff := cmp.Diff(want, got); diff != "" || o.Len() != len(want) {
		t.Errorf("%d members (-want +got):\n%s", o.Len(), diff)
	}
	for _, member := range want {
		if v, ok := o.Get(member[0]); !ok || string(v) != member[1] {
			t.Errorf("Get(%q) = %q, %v", member[0], v, ok)
		}
	}
	if s, ok := o.Text("name"); !ok || s != "x\ty" {
		t.Errorf("Text(name) = %q, %v", s, ok)
	}
	for _, absent := range []string{"ID", "", "nAme", "none"} {
		if s, ok := o.Text(absent); ok {
			t.Errorf("Text(%q) = %q", absent, s)
		}
	}
	visits := 0
	o.Each(func(string, json.RawMessage) bool { visits++; return visits < 2 })
	if visits != 2 {
		t.Errorf("%d visits after the second one said stop", visits)
	}
	var zero rpc.Object
	if _, ok := zero.Get("a"); ok || zero.Len() != 0 {
		t.Error("the zero Object has members")
	}
}

func TestReadObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "null", "[]", `"x"`, "1", "{", `{"a"`, `{"a":1`, `{"a":1,}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"\ud800":1}`, `{"a":tru}`,
		strings.Repeat(`{"a":`, 257) + "1" + strings.Repeat("}", 257), strings.Repeat(`{"a":`, 100_000),
	} {
		if o, err := rpc.ReadObject([]byte(text)); err == nil || o.Len() != 0 {
			t.Errorf("ReadObject(%.40q) = %d members, %v", text, o.Len(), err)
		}
	}
	_, err := rpc.ReadObject([]byte(`{"a":1,"a":2}`))
	if e, ok := errors.AsType[*rpc.SyntaxError](err); !ok || !e.Ambiguous || e.Offset != 7 {
		t.Errorf("a duplicate is %#v", err)
	}
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	o, err := rpc.ParseObject([]byte(" {\"a\": [1, {}]}\r\n"))
	if err != nil || o.Len() != 1 {
		t.Fatalf("%v members, %v", o.Len(), err)
	}
	for name, text := range map[string]string{
		"nothing": "", "space": " ", "no object": "[]", "no JSON": "<html>", "cut": `{"a":1`, "two": "{}{}", "text behind": "{} x",
		"a duplicate": `{"a":1,"\u0061":2}`, "bad UTF-8": "{\"a\":\"\xff\"}", "bad UTF-8 in a name": "{\"\xff\":1}",
		"too deep": `{"a":` + strings.Repeat("[", rpc.MaxDepth) + strings.Repeat("]", rpc.MaxDepth) + "}",
	} {
		if _, err := rpc.ParseObject([]byte(text)); err == nil {
			t.Errorf("%s was taken: %q", name, text)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`[]`:                                   nil,
		` [ ] `:                                nil,
		`[1]`:                                  {"1"},
		`[ 1 , "a,b" ,[2, 3],{"a":[]}, null ]`: {"1", `"a,b"`, "[2, 3]", `{"a":[]}`, "null"},
	} {
		list, err := rpc.Elements([]byte(text))
		var got []string
		for _, e := range list {
			got = append(got, string(e))
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Elements(%s): %v (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "{}", "1", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", `["a]`, strings.Repeat("[", 100_000)} {
		if list, err := rpc.Elements([]byte(text)); err == nil || list != nil {
			t.Errorf("Elements(%.40q) = %q, %v", text, list, err)
		}
	}
}

func TestObjectWith(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, name, want string }{
		{`{}`, "a", `{"a":9}`},
		{` { } `, "a", ` { "a":9} `},
		{`{"a":1}`, "a", `{"a":9}`},
		{`{ "a" : 1 , "b" : 2 }`, "a", `{ "a" : 9 , "b" : 2 }`},
		{`{ "a" : 1 , "b" : 2 }`, "b", `{ "a" : 1 , "b" : 9 }`},
		{`{ "a" : 1 }`, "c", `{ "a" : 1 ,"c":9}`},
		{`{"\u0061":1}`, "a", `{"\u0061":9}`},
		{`{}`, "\"\n", `{"\"\u000a":9}`},
	} {
		if got := string(object(t, tt.text).With(tt.name, []byte("9"))); got != tt.want {
			t.Errorf("%s with %q = %s, want %s", tt.text, tt.name, got, tt.want)
		}
	}
}

func TestObjectWithout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, name, want string }{
		{`{}`, "a", `{}`},
		{`{"a":1}`, "b", `{"a":1}`},
		{`{"a":1}`, "a", `{}`},
		{` { "a" : 1 } `, "a", ` { } `},
		{`{"a":1,"b":2,"c":3}`, "a", `{"b":2,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, "b", `{"a":1,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, "c", `{"a":1,"b":2}`},
		{`{ "a" : 1 , "b" : 2 }`, "a", `{"b" : 2 }`},
		{`{ "a" : 1 , "b" : 2 }`, "b", `{ "a" : 1 }`},
		{`{"a":1,"\u0062":2}`, "b", `{"a":1}`},
	} {
		if got := string(object(t, tt.text).Without(tt.name)); got != tt.want {
			t.Errorf("%s without %s = %s, want %s", tt.text, tt.name, got, tt.want)
		}
	}
}

func object(t *testing.T, text string) rpc.Object {
	t.Helper()
	o, err := rpc.ReadObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}
