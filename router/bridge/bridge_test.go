package bridge

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// through returns what a client of an era reads where an upstream that speaks a
// revision answers with a message.
func through(t *testing.T, era rpc.Era, spoken rpc.Revision, method, message string) string {
	t.Helper()
	upstream := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		m, err := rpc.Parse([]byte(message), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		reply := rpc.Respond(m)
		reply.Revision = spoken
		return reply, nil
	})
	row, ok := mcp.Lookup(method, mcp.LatestModern)
	if !ok {
		row = mcp.Foreign(method)
	}
	reply, err := Payload(upstream).Handle(t.Context(), &rpc.Call{
		Method: row, Client: rpc.Client{Era: era}, Target: rpc.Target{Upstream: "up"},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	out := string(m.AppendTo(nil))
	if _, err := reply.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("second Next: %v, want io.EOF", err)
	}
	return out
}

func TestPayloadWithinAnEraIsUntouched(t *testing.T) {
	t.Parallel()
	odd := ` {"jsonrpc" : "2.0","id":1, "result":{"z":1.0,"a":9007199254740993,"content":[{"type":"hologram","<":"\u003c"}],"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{}}}}`
	for _, tt := range []struct {
		era    rpc.Era
		spoken rpc.Revision
	}{{rpc.Legacy, "2024-11-05"}, {rpc.Legacy, mcp.LatestLegacy}, {rpc.Modern, mcp.LatestModern}, {rpc.Modern, ""}} {
		if got := through(t, tt.era, tt.spoken, mcp.ToolsCall, odd); got != odd {
			t.Errorf("%v from %q:\n got %s\nwant %s", tt.era, tt.spoken, got, odd)
		}
	}
}

func TestPayloadBetweenEras(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method string
		era          rpc.Era
		in, want     string
	}{
		{
			"a legacy result is complete", mcp.ToolsCall, rpc.Modern,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[], "x":1.0}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[], "x":1.0,"resultType":"complete"}}`,
		},
		{
			"a legacy read may not be kept", mcp.ResourcesRead, rpc.Modern,
			`{"jsonrpc":"2.0","id":1,"result":{"contents":[]}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}`,
		},
		{
			"an empty legacy result", mcp.ToolsCall, rpc.Modern,
			`{"jsonrpc":"2.0","id":1,"result":{}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`,
		},
		{
			"a legacy not-found", mcp.ResourcesRead, rpc.Modern,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no","data":{"uri":"a:b"}}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no","data":{"uri":"a:b"}}}`,
		},
		{
			"what only modern clients know is taken out", mcp.ResourcesRead, rpc.Legacy,
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","contents":[],"ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"contents":[]}}`,
		},
		{
			"other _meta stays", mcp.ToolsCall, rpc.Legacy,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"a/b":1,"io.modelcontextprotocol/serverInfo":{}}}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"a/b":1}}}`,
		},
		{
			"a modern not-found of a resource", mcp.ResourcesRead, rpc.Legacy,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no"}}`,
		},
		{
			"an unknown tool stays one", mcp.ToolsCall, rpc.Legacy,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`,
		},
		{
			"what went wrong on the other hop is not the client's", mcp.ToolsCall, rpc.Legacy,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"bad header"}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":102,"message":"upstream \"up\" could not serve the call: it refused the gateway's request: \"bad header\"","data":{"reason":"upstream_failed","retryable":false,"upstream":"up"}}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spoken := mcp.LatestLegacy
			if tt.era == rpc.Legacy {
				spoken = mcp.LatestModern
			}
			if got := through(t, tt.era, spoken, tt.method, tt.in); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Clients check structured content against the schema that the tool was listed with.
func TestCorner5_12_StructuredContent(t *testing.T) {
	t.Parallel()
	const uri = `"structuredContent":{"uri":"ui://v","io.modelcontextprotocol/x":{"ttlMs":1,"resultType":"x"}}`
	for name, tt := range map[string]struct{ in, legacy string }{
		"an object":                      {`"content":[],"structuredContent":{"a":1.0}`, ""},
		"with what looks like ours":      {`"content":[],` + uri, ""},
		"none, of a tool that failed":    {`"content":[{"type":"text","text":"no"}],"isError":true`, ""},
		"an array":                       {`"content":[{"type":"image"}],"structuredContent":[1,"\u00e9"]`, `"content":[{"type":"image"},{"type":"text","text":"[1,\"\\u00e9\"]"}]`},
		"a number and no content":        {`"content":[],"structuredContent":7`, `"content":[{"type":"text","text":"7"}]`},
		"an array that is also in words": {`"content":[{"type":"text","text":"[ 1 ]"}],"structuredContent":[1]`, `"content":[{"type":"text","text":"[ 1 ]"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := `{"jsonrpc":"2.0","id":1,"result":{` + tt.in + `}}`
			if got := through(t, rpc.Modern, mcp.LatestModern, mcp.ToolsCall, in); got != in {
				t.Errorf("modern to modern: %s", got)
			}
			legacy := in
			if tt.legacy != "" {
				legacy = `{"jsonrpc":"2.0","id":1,"result":{` + tt.legacy + `}}`
			}
			if got := through(t, rpc.Legacy, mcp.LatestModern, mcp.ToolsCall, in); got != legacy {
				t.Errorf("for a legacy client\n got %s\nwant %s", got, legacy)
			}
			want := strings.TrimSuffix(legacy, "}}") + `,"resultType":"complete"}}`
			if got := through(t, rpc.Modern, mcp.LatestLegacy, mcp.ToolsCall, legacy); got != want {
				t.Errorf("of a legacy server\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestCorner5_14_WhatTheClientLacks(t *testing.T) {
	t.Parallel()
	const (
		refusal = `{"jsonrpc":"2.0","id":1,"error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{"elicitation":{"url":{}}}}}}`
		lacks   = `upstream \"up\" needs capabilities that its client has not declared: \"{\\\"elicitation\\\":{\\\"url\\\":{}}}\"`
		cannot  = `upstream \"up\" needs capabilities of its client that cannot be carried between revisions: \"{\\\"elicitation\\\":{\\\"url\\\":{}}}\"`
		failed  = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"%s"}],"isError":true}}`
	)
	for name, tt := range map[string]struct {
		revision           rpc.Revision
		method, caps, want string
	}{
		"modern clients read it themselves": {mcp.LatestModern, mcp.ToolsCall, `{}`, refusal},
		"a tool":                            {mcp.LatestLegacy, mcp.ToolsCall, `{"elicitation":{"form":{}}}`, strings.Replace(failed, "%s", lacks, 1)},
		"a prompt":                          {mcp.LatestLegacy, mcp.PromptsGet, `{}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"` + lacks + `"}}`},
		"what was kept from the server":     {"2025-06-18", mcp.ToolsCall, `{"elicitation":{"url":{}}}`, strings.Replace(failed, "%s", cannot, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := callOf(t, tt.revision, tt.caps, `{"jsonrpc":"2.0","id":1,"method":"`+tt.method+`","params":{"name":"t"}}`)
			if _, got := play(t, &rounds{answers: []string{refusal}}, c, nil); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
