package mcp

import (
	"encoding/json"
	"testing"
)

func TestFeatures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ caps, want string }{
		{``, ``},
		{`{}`, ``},
		{`{ }`, ``},
		{`null`, ``},
		{`[1,2]`, ``},
		{`{"experimental":{},"extensions":{ }}`, ``},
		{`{"roots":null,"tasks":null,"x":false}`, ``},
		{`{"roots":{}}`, `{"roots":{}}`},
		{`{"sampling":{"tools":{}, "context" : {}},"elicitation":{}}`, `{"elicitation":{},"sampling":{"context":{},"tools":{}}}`},
		{`{"elicitation":{"url":{},"form":{}},"experimental":{}}`, `{"elicitation":{"form":{},"url":{}}}`},
		{`{"extensions":{"io.example/ui":{"mimeTypes":["b", {"z":1,"a":2}]}}}`, `{"extensions":{"io.example/ui":{"mimeTypes":["b",{"a":2,"z":1}]}}}`},
		{`{"new":true}`, `{"new":true}`},
	} {
		if got := Features(json.RawMessage(test.caps)); got != test.want {
			t.Errorf("%s: %s, want %s", test.caps, got, test.want)
		}
	}
}

func TestMayAsk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		caps, method string
		want         bool
	}{
		{`{}`, RootsList, false},
		{``, RootsList, false},
		{`{"roots":{}}`, RootsList, true},
		{`{"roots":{}}`, SamplingCreate, false},
		{`{"sampling":{}}`, SamplingCreate, true},
		{`{"elicitation":{}}`, ElicitationCreate, true},
		{`{"elicitation":null}`, ElicitationCreate, false},
		{`{"roots":{}}`, "vendor/ask", false},
		{`{"extensions":{"v/x":{}}}`, "vendor/ask", true},
		{`{"experimental":{"x":1}}`, "vendor/ask", true},
		{`{"experimental":{}}`, "vendor/ask", false},
	} {
		if got := MayAsk(json.RawMessage(test.caps), test.method); got != test.want {
			t.Errorf("%s %s: %v", test.caps, test.method, got)
		}
	}
}
