package mcp

import (
	"encoding/json"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestCapabilitiesAreCarriedBetweenEras(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		revision rpc.Revision
		in, want string
	}{
		{LatestLegacy, ``, `{}`},
		{LatestLegacy, `[]`, `{}`},
		{LatestLegacy, `{"elicitation":{"url":{}, "form":{}}}`, `{"elicitation":{"url":{}, "form":{}}}`},
		{LatestLegacy, `{"roots":{"listChanged":true},"tasks":{"list":{}}}`, `{"roots":{}}`},
		{LatestLegacy, `{"sampling":{"tools":{}},"experimental":{"x":{"n":1.0}}}`, `{"sampling":{"tools":{}},"experimental":{"x":{"n":1.0}}}`},
		{LatestModern, `{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"a":1}}}`, `{"extensions":{"io.modelcontextprotocol/ui":{"a":1}}}`},
		{"2025-06-18", `{"elicitation":{"url":{}},"sampling":{"tools":{}}}`, `{"elicitation":{},"sampling":{}}`},
		{"2025-03-26", `{"elicitation":{},"sampling":{}}`, `{"sampling":{}}`},
	} {
		if got := Carried(rpc.Client{Revision: tt.revision, Capabilities: json.RawMessage(tt.in)}); string(got) != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.revision, tt.in, got, tt.want)
		}
	}
}

func TestWhatClientsCanBeAsked(t *testing.T) {
	t.Parallel()
	for caps, want := range map[string]Asking{
		``:                                     {},
		`{}`:                                   {},
		`{"elicitation":{}}`:                   {Form: true},
		`{"elicitation":{"form":{}}}`:          {Form: true},
		`{"elicitation":{"url":{}}}`:           {URL: true},
		`{"elicitation":{"url":{},"form":{}}}`: {URL: true, Form: true},
		`{"elicitation":null,"roots":7}`:       {},
		`{"roots":{},"sampling":{"tools":{}}}`: {Roots: true, Sampling: true, SamplingTools: true},
		`{"sampling":{}}`:                      {Sampling: true},
	} {
		if got := AskingOf(json.RawMessage(caps)); got != want {
			t.Errorf("%s: %+v", caps, got)
		}
	}
}
