package router

import (
	"encoding/json"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
)

// capabilities is what the gateway declares, by name.
type capabilities map[string]json.RawMessage

// carried are capabilities of a single upstream that its endpoint passes on: those
// whose methods go through as they are. Members that promise notifications are not
// among them.
var carried = []string{"prompts", "resources", "completions", "logging"}

// offered declares what an endpoint does. Tools are always there, because upstreams
// come and go while a legacy client's view of capabilities is frozen.
func offered(view *catalog.View, upstream json.RawMessage, era rpc.Era) capabilities {
	out := capabilities{"tools": json.RawMessage(`{}`)}
	if era == rpc.Legacy {
		out["tools"] = json.RawMessage(`{"listChanged":true}`)
	}
	if !view.Single || len(upstream) == 0 {
		return out
	}
	own, err := rpc.ReadObject(upstream)
	if err != nil {
		return out
	}
	for _, name := range carried {
		if _, ok := own.Get(name); ok {
			out[name] = json.RawMessage(`{}`)
		}
	}
	return out
}
