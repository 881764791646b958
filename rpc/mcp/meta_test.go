package mcp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestClientOf(t *testing.T) {
	t.Parallel()
	const (
		version = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`
		caps    = `"io.modelcontextprotocol/clientCapabilities":{"roots":{}}`
		info    = `"io.modelcontextprotocol/clientInfo":{"name":"c","x":1.0}`
		level   = `"io.modelcontextprotocol/logLevel":"notice"`
	)
	full := rpc.Client{
		Revision: "2026-07-28", Era: rpc.Modern, LogLevel: "notice",
		Info: []byte(`{"name":"c","x":1.0}`), Capabilities: []byte(`{"roots":{}}`),
	}
	for name, tt := range map[string]struct {
		meta string
		want rpc.Client
		code rpc.Code // Internal stands for no error
	}{
		"all":              {version + "," + caps + "," + info + "," + level, full, rpc.Internal},
		"required":         {caps + "," + version, rpc.Client{Revision: "2026-07-28", Era: rpc.Modern, Capabilities: full.Capabilities}, rpc.Internal},
		"nothing":          {``, rpc.Client{}, rpc.InvalidParams},
		"no version":       {caps, rpc.Client{}, rpc.InvalidParams},
		"version number":   {`"io.modelcontextprotocol/protocolVersion":20260728,` + caps, rpc.Client{}, rpc.InvalidParams},
		"version null":     {`"io.modelcontextprotocol/protocolVersion":null,` + caps, rpc.Client{}, rpc.InvalidParams},
		"legacy version":   {`"io.modelcontextprotocol/protocolVersion":"2025-11-25",` + caps, rpc.Client{}, rpc.UnsupportedVersion},
		"unknown version":  {`"io.modelcontextprotocol/protocolVersion":"2027-01-01",` + caps, rpc.Client{}, rpc.UnsupportedVersion},
		"too much":         {version + "," + caps + `,"io.modelcontextprotocol/clientInfo":{"name":"` + strings.Repeat("c", 64<<10) + `"}`, rpc.Client{}, rpc.InvalidParams},
		"too capable":      {version + `,"io.modelcontextprotocol/clientCapabilities":{"x":"` + strings.Repeat("c", 64<<10) + `"}`, rpc.Client{}, rpc.InvalidParams},
		"no capabilities":  {version, rpc.Client{}, rpc.InvalidParams},
		"capabilities []":  {version + `,"io.modelcontextprotocol/clientCapabilities":[]`, rpc.Client{}, rpc.InvalidParams},
		"info string":      {version + "," + caps + `,"io.modelcontextprotocol/clientInfo":"c"`, rpc.Client{}, rpc.InvalidParams},
		"unknown level":    {version + "," + caps + `,"io.modelcontextprotocol/logLevel":"loud"`, rpc.Client{}, rpc.InvalidParams},
		"level in capital": {version + "," + caps + `,"io.modelcontextprotocol/logLevel":"INFO"`, rpc.Client{}, rpc.InvalidParams},
		"level number":     {version + "," + caps + `,"io.modelcontextprotocol/logLevel":3`, rpc.Client{}, rpc.InvalidParams},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mcp.ClientOf(rpc.NewRequest(rpc.NumberID(1), "tools/list", []byte(`{"_meta":{`+tt.meta+`}}`)))
			if tt.code != rpc.Internal {
				wantCode(t, err, tt.code)
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, m := range []*rpc.Message{
		rpc.NewRequest(rpc.NumberID(1), "tools/list", nil),
		rpc.NewRequest(rpc.NumberID(1), "tools/list", []byte(`{"_meta":null}`)),
		rpc.NewRequest(rpc.NumberID(1), "tools/list", []byte(`{"_meta":"x"}`)),
	} {
		_, err := mcp.ClientOf(m)
		wantCode(t, err, rpc.InvalidParams)
	}
	for _, level := range []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"} {
		m := rpc.NewRequest(rpc.NumberID(1), "tools/list", []byte(`{"_meta":{`+version+","+caps+`,"io.modelcontextprotocol/logLevel":"`+level+`"}}`))
		if c, err := mcp.ClientOf(m); err != nil || c.LogLevel != level {
			t.Errorf("level %s is read as %q, %v", level, c.LogLevel, err)
		}
	}
}

func TestIsProgressToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`"t"`: true, `""`: true, `0`: true, `-1`: true, `9007199254740993`: true, `1.5`: true,
		``: false, `null`: false, `true`: false, `{}`: false, `[]`: false,
	} {
		if got := mcp.IsProgressToken([]byte(text)); got != want {
			t.Errorf("%s is a token: %v", text, got)
		}
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	for caps, want := range map[string]string{
		``:                                "",
		`null`:                            "",
		`[]`:                              "",
		`{}`:                              "",
		`{"roots":{},"roots":{}}`:         "",
		`{"experimental":{}}`:             "",
		`{"extensions":{ }}`:              "",
		`{"roots":null,"sampling":false}`: "",
		`{"roots":{}}`:                    `{"roots":{}}`,
		`{ "sampling" : { } , "roots":{"listChanged" : true} }`: `{"roots":{"listChanged":true},"sampling":{}}`,
		`{"roots":{"listChanged":true},"sampling":{}}`:          `{"roots":{"listChanged":true},"sampling":{}}`,
		`{"elicitation":{"url":{},"form":{}}}`:                  `{"elicitation":{"form":{},"url":{}}}`,
		`{"extensions":{"b":{},"a":[1, 2]}}`:                    `{"extensions":{"a":[1,2],"b":{}}}`,
		`{"vendor":true}`:                                       `{"vendor":true}`,
	} {
		if got := mcp.Features([]byte(caps)); got != want {
			t.Errorf("%s has %s, want %s", caps, got, want)
		}
	}
}

func TestMayAsk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		caps, method string
		want         bool
	}{
		{`{"roots":{}}`, "roots/list", true},
		{`{"roots":{}}`, "sampling/createMessage", false},
		{`{"roots":{}}`, "elicitation/create", false},
		{`{"sampling":{}}`, "sampling/createMessage", true},
		{`{"elicitation":{}}`, "elicitation/create", true},
		{`{"elicitation":null}`, "elicitation/create", false},
		{`{"roots":{},"sampling":{},"elicitation":{}}`, "vendor/ask", false},
		{`{"extensions":{"v":{}}}`, "vendor/ask", true},
		{`{"experimental":{"v":{}}}`, "vendor/ask", true},
		{`{"extensions":{"v":{}}}`, "roots/list", false},
		{``, "roots/list", false},
	} {
		if got := mcp.MayAsk([]byte(tt.caps), tt.method); got != tt.want {
			t.Errorf("a client with %s may be asked %s: %v", tt.caps, tt.method, got)
		}
	}
}
