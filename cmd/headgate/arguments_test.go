package main

import (
	"strings"
	"testing"
)

func TestArgumentsAreJSONWhereTheyCanBe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pairs []string
		want  string
	}{
		{nil, `{}`},
		{[]string{"a=2", "b=3"}, `{"a":2,"b":3}`},
		{[]string{"n=9007199254740993"}, `{"n":9007199254740993}`},
		{[]string{"n=1.0", "e=1E2"}, `{"n":1.0,"e":1E2}`},
		{[]string{"n=007"}, `{"n":"007"}`},
		{[]string{"n=+1"}, `{"n":"+1"}`},
		{[]string{"n=NaN"}, `{"n":"NaN"}`},
		{[]string{"t=true", "f=false", "z=null"}, `{"t":true,"f":false,"z":null}`},
		{[]string{"t=True"}, `{"t":"True"}`},
		{[]string{"s="}, `{"s":""}`},
		{[]string{`s="2"`}, `{"s":"2"}`},
		{[]string{`s="half`}, `{"s":"\"half"}`},
		{[]string{"s=a=b"}, `{"s":"a=b"}`},
		{[]string{"s=two\nlines <&>"}, `{"s":"two\u000alines <&>"}`},
		{[]string{"s= 5 "}, `{"s":5}`},
		{[]string{`l=[1, "x"]`, `o={"b":1,"a":{}}`}, `{"l":[1, "x"],"o":{"b":1,"a":{}}}`},
		{[]string{`o={"a":1`}, `{"o":"{\"a\":1"}`},
		{[]string{`k"ey=1`}, `{"k\"ey":1}`},
		{[]string{"é=ü"}, `{"é":"ü"}`},
	}
	for _, tt := range tests {
		got, err := argumentsOf(tt.pairs)
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: %s, %v, want %s", tt.pairs, got, err, tt.want)
		}
	}
}

func TestArgumentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pairs []string
		want  string
	}{
		{[]string{"a"}, "is not KEY=VALUE"},
		{[]string{""}, "is not KEY=VALUE"},
		{[]string{"=1"}, "is not KEY=VALUE"},
		{[]string{"a=1", "a=2"}, "a is given twice"},
		{[]string{"a=\xff"}, "is not UTF-8"},
	}
	for _, tt := range tests {
		if got, err := argumentsOf(tt.pairs); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %s, %v, want an error with %q", tt.pairs, got, err, tt.want)
		}
	}
}

func TestObjectsArePassedOnAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"b" : 1.0, "a":9007199254740993}`, "{\n}"} {
		if got, err := object([]byte(" " + text + "\n")); err != nil || string(got) != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	for _, text := range []string{``, ` `, `[]`, `1`, `{`, `{} {}`, `null`, "{\"a\":\"\xff\"}"} {
		if got, err := object([]byte(text)); err == nil {
			t.Errorf("%q was taken for %q", text, got)
		}
	}
}

func FuzzArguments(f *testing.F) {
	for _, seed := range []string{"a=1", "a=x", `a={"b":[`, "=", "a=\x00", `"=\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		text, err := argumentsOf([]string{pair})
		if err != nil {
			return
		}
		if _, err := object(text); err != nil {
			t.Errorf("%q became %s, which is no object", pair, text)
		}
	})
}
