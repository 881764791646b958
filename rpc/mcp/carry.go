package mcp

import (
	"encoding/json"

	"github.com/headgate/headgate/rpc"
)

// InputMembers are the members of a modern request's params that carry a client's
// answers; a legacy server does not know them.
var InputMembers = []string{"inputResponses", "requestState"}

// ElicitationComplete tells a legacy client that a page was visited to the end.
const ElicitationComplete = "notifications/elicitation/complete"

// AllAsking declares all that the gateway carries between a server and its clients: what it says where it speaks for
// whichever client may come.
const AllAsking = `{"roots":{},"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}}}`

// capTasks lets servers of 2025-11-25 turn calls into tasks, which have no counterpart
// in another era.
const capTasks = "tasks"

// extensionUI is an extension that needs nothing of who stands between (SEP-1865).
const extensionUI = "io.modelcontextprotocol/ui"

// Carried returns what a server of another era is told of a client's capabilities:
// all of them but those that the gateway could not make good on between eras. Those
// are tasks, changes of roots, extensions that may bring methods of their own, and what the client's revision
// does not have.
func Carried(c rpc.Client) json.RawMessage {
	out := json.RawMessage(`{}`)
	o, err := rpc.ReadObject(c.Capabilities)
	if err != nil {
		return out
	}
	traits, known := Of(c.Revision)
	o.Each(func(name string, value json.RawMessage) bool {
		switch {
		case name == capTasks, name == capElicitation && known && !traits.Elicitation:
			return true
		case name == capRoots:
			value = without(value, "listChanged")
		case name == capExtensions:
			value = only(value, extensionUI)
		case (name == capElicitation || name == capSampling) && known && !traits.RichAsking && value[0] == '{':
			value = json.RawMessage(`{}`)
		}
		out = with(out, name, value)
		return true
	})
	return out
}

func with(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(object)
	if err != nil {
		return object
	}
	return o.With(name, value)
}

func without(object json.RawMessage, name string) json.RawMessage {
	o, err := rpc.ReadObject(object)
	if err != nil {
		return object
	}
	if _, ok := o.Get(name); !ok {
		return object
	}
	return o.Without(name)
}

// only keeps one member of an object.
func only(object json.RawMessage, name string) json.RawMessage {
	out := json.RawMessage(`{}`)
	if o, err := rpc.ReadObject(object); err == nil {
		if value, ok := o.Get(name); ok {
			return with(out, name, value)
		}
	}
	return out
}

// Asking is what a client can be asked, in detail (MCP 2025-11-25 and 2026-07-28,
// Elicitation, Sampling).
type Asking struct {
	Roots, Sampling, SamplingTools, Form, URL bool
}

// AskingOf reads what a client with these capabilities can be asked. An empty
// elicitation means forms.
func AskingOf(caps json.RawMessage) (a Asking) {
	if string(caps) == "{}" {
		return a // most clients, and not worth reading
	}
	o, err := rpc.ReadObject(caps)
	if err != nil {
		return a
	}
	member := func(name string) (rpc.Object, bool) {
		value, ok := o.Get(name)
		if !ok {
			return rpc.Object{}, false
		}
		inner, err := rpc.ReadObject(value)
		return inner, err == nil
	}
	_, a.Roots = member(capRoots)
	sampling, ok := member(capSampling)
	if ok {
		a.Sampling = true
		_, a.SamplingTools = sampling.Get("tools")
	}
	elicitation, ok := member(capElicitation)
	if ok {
		_, a.Form = elicitation.Get("form")
		_, a.URL = elicitation.Get("url")
		a.Form = a.Form || !a.URL
	}
	return a
}
