package router

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_8_CapabilitiesAreThoseOfAnyUpstream(t *testing.T) {
	t.Parallel()
	const (
		ui    = "io.modelcontextprotocol/ui"
		tools = `"tools":{"listChanged":true}`
	)
	for _, tt := range []struct {
		name, endpoint string
		upstreams      []string // empty: does not say
		want           string
	}{
		{"nothing declared", "/mcp", []string{`{}`}, `{` + tools + `}`},
		{"a union", "/mcp", []string{`{"prompts":{}}`, `{"completions":{},"x":{},"resources":{}}`}, `{"completions":{},"prompts":{"listChanged":true},"resources":{"listChanged":true},` + tools + `}`},
		{"who has not said may do everything", "/mcp", []string{`{}`, ``}, `{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},` + tools + `}`},
		{"one alone that has not said", "/mcp/u0", []string{``}, `{` + tools + `}`},
		{"only its own", "/mcp/u1", []string{`{"prompts":{}}`, `{"completions":{}}`}, `{"completions":{},` + tools + `}`},
		{"an extension", "/mcp", []string{`{"extensions":{"` + ui + `":{"a":1},"other":{}}}`, `{"extensions":{"` + ui + `":{"a":1}}}`}, `{"extensions":{"` + ui + `":{"a":1}},` + tools + `}`},
		{"an extension in two ways", "/mcp", []string{`{"extensions":{"` + ui + `":{"a":1}}}`, `{"extensions":{"` + ui + `":{"a":2}}}`}, `{` + tools + `}`},
		{"an extension in two spellings", "/mcp", []string{`{"extensions":{"` + ui + `":{"a":1,"b":[2]}}}`, `{"extensions":{"` + ui + `":{ "b" : [2], "a":1}}}`}, `{"extensions":{"` + ui + `":{"a":1,"b":[2]}},` + tools + `}`},
		{"changes of single resources", "/mcp", []string{`{"resources":{}}`, `{"resources":{"subscribe":true}}`}, `{"resources":{"listChanged":true,"subscribe":true},` + tools + `}`},
		{"nobody tells of single resources", "/mcp", []string{`{"resources":{"subscribe":false}}`, `{"resources":{}}`}, `{"resources":{"listChanged":true},` + tools + `}`},
		{"experiments and strangers", "/mcp", []string{`{"experimental":{"x":{}},"tasks":{},"extensions":{"com.example/y":{}}}`}, `{` + tools + `}`},
		{"nonsense", "/mcp", []string{`[]`, `{"extensions":7}`, `7`}, `{` + tools + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var order []string
			upstreams := map[string]*upstream{}
			for i, text := range tt.upstreams {
				order = append(order, fmt.Sprint("u", i))
				upstreams[order[i]] = &upstream{capabilities: text, silent: text == "", results: map[string]string{mcp.ToolsList: `{"tools":[]}`}}
			}
			answer := newGateway(t, order, upstreams).call(tt.endpoint, mcp.Initialize, `{}`)
			var got struct {
				Result struct {
					Capabilities map[string]json.RawMessage `json:"capabilities"`
				} `json:"result"`
			}
			if err := json.Unmarshal([]byte("{"+answer+"}"), &got); err != nil {
				t.Fatalf("%v: %s", err, answer)
			}
			if text, err := json.Marshal(got.Result.Capabilities); err != nil || string(text) != tt.want {
				t.Errorf("got %s, %v\nwant %s", text, err, tt.want)
			}
		})
	}
}
