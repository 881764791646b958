package router

import (
	"encoding/json"
	"slices"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// capabilities is what the gateway declares, by name.
type capabilities map[string]json.RawMessage

// carried are capabilities of upstreams that an endpoint passes on, and whether it
// has a list to it that changes.
var carried = []struct {
	name string
	list bool
}{{"tools", true}, {"prompts", true}, {"resources", true}, {"completions", false}, {"logging", false}}

// extensions that work through a merged endpoint, and the first era of clients that
// can use them: tasks are other methods for legacy ones.
var extensions = []struct {
	name  string
	since rpc.Era
}{{"io.modelcontextprotocol/ui", rpc.Legacy}, {mcp.TasksExtension, rpc.Modern}}

// offered declares what an endpoint does: what any of its upstreams does. A legacy
// client's view of capabilities is frozen while upstreams come and go, so one that
// has not said yet may do everything, and tools are always there.
func offered(view *catalog.View, upstreams []json.RawMessage, era rpc.Era) capabilities {
	out := capabilities{}
	for i, c := range carried {
		if i == 0 || anyHas(upstreams, c.name, !view.Single) {
			out[c.name] = json.RawMessage(`{}`)
			if c.list {
				out[c.name] = json.RawMessage(`{"listChanged":true}`)
			}
			if c.name == "resources" && anyTells(upstreams, !view.Single) {
				out[c.name] = json.RawMessage(`{"listChanged":true,"subscribe":true}`)
			}
		}
	}
	if settings := extended(upstreams, era); len(settings) > 0 {
		text, err := json.Marshal(settings)
		if err == nil {
			out["extensions"] = text
		}
	}
	return out
}

// anyHas reports whether an upstream declares a capability. What those declare that
// have not said anything is taken for silent.
func anyHas(upstreams []json.RawMessage, name string, silent bool) bool {
	for _, text := range upstreams {
		if text == nil {
			if silent {
				return true
			}
			continue
		}
		if own, err := rpc.ReadObject(text); err == nil {
			if _, ok := own.Get(name); ok {
				return true
			}
		}
	}
	return false
}

// anyTells reports whether an upstream tells of changes of single resources. What
// those tell of that have not said anything is taken for silent.
func anyTells(upstreams []json.RawMessage, silent bool) bool {
	for _, text := range upstreams {
		if text == nil && silent {
			return true
		}
		own, err := rpc.ReadObject(text)
		if err != nil {
			continue
		}
		settings, _ := own.Get("resources")
		if o, err := rpc.ReadObject(settings); err == nil {
			if v, _ := o.Get("subscribe"); string(v) == "true" {
				return true
			}
		}
	}
	return false
}

// extended returns the settings of the extensions that upstreams declare. Where two
// contradict each other the extension is left out.
func extended(upstreams []json.RawMessage, era rpc.Era) capabilities {
	out := capabilities{}
	for _, extension := range extensions {
		if era < extension.since {
			continue
		}
		var found []json.RawMessage
		for _, text := range upstreams {
			if settings, ok := setting(text, extension.name); ok {
				found = append(found, settings)
			}
		}
		if len(found) > 0 && allAlike(found) {
			out[extension.name] = found[0]
		}
	}
	return out
}

func setting(upstream json.RawMessage, extension string) (json.RawMessage, bool) {
	own, err := rpc.ReadObject(upstream)
	if err != nil {
		return nil, false
	}
	text, _ := own.Get("extensions")
	declared, err := rpc.ReadObject(text)
	if err != nil {
		return nil, false
	}
	return declared.Get(extension)
}

// allAlike reports whether all texts say the same, however they are spelled.
func allAlike(texts []json.RawMessage) bool {
	first := mcp.Canonical(texts[0])
	return !slices.ContainsFunc(texts, func(t json.RawMessage) bool { return mcp.Canonical(t) != first })
}
