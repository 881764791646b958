package mcp

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// Requests that servers send.
const (
	RootsList         = "roots/list"
	SamplingCreate    = "sampling/createMessage"
	ElicitationCreate = "elicitation/create"
)

// Capabilities of clients that let a server send requests of its own (MCP
// 2025-11-25, Lifecycle, Capability Negotiation).
const (
	capRoots        = "roots"
	capSampling     = "sampling"
	capElicitation  = "elicitation"
	capExtensions   = "extensions"
	capExperimental = "experimental"
)

// Features returns a canonical text of those client capabilities that let a server
// do more than answer. It is equal for two clients that a server may treat alike,
// and empty for a client whose server has nothing to ask: such clients can share
// one connection. What is not known here counts as such a capability unless it is an empty
// object, because an extension may bring requests of its own.
func Features(caps json.RawMessage) string {
	if string(caps) == "{}" {
		return "" // most clients, and not worth reading
	}
	if len(caps) <= len("{}") {
		return ""
	}
	o, err := rpc.ReadObject(caps)
	if err != nil {
		return ""
	}
	var parts []string
	o.Each(func(name string, value json.RawMessage) bool {
		if counts(name, value) {
			parts = append(parts, string(rpc.AppendString(nil, name))+":"+Canonical(value))
		}
		return true
	})
	if parts == nil {
		return ""
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

// counts reports whether a declared capability lets a server ask.
func counts(name string, value json.RawMessage) bool {
	switch name {
	case capRoots, capSampling, capElicitation:
		return value[0] == '{' // an empty object declares them
	}
	text := Canonical(value)
	return text != "{}" && text != "null" && text != "false"
}

// MayAsk reports whether a client with these capabilities can be sent a request of
// the server's own. Methods that no revision has are taken for those of an extension
// and need one to be declared.
func MayAsk(caps json.RawMessage, method string) bool {
	o, err := rpc.ReadObject(caps)
	if err != nil {
		return false
	}
	declared := func(name string) bool {
		value, ok := o.Get(name)
		return ok && counts(name, value)
	}
	switch method {
	case RootsList:
		return declared(capRoots)
	case SamplingCreate:
		return declared(capSampling)
	case ElicitationCreate:
		return declared(capElicitation)
	}
	return declared(capExtensions) || declared(capExperimental)
}

// Canonical writes a value with its members sorted and without space. What cannot be
// read, such as an object with a name that stands twice, is returned as it is.
func Canonical(text json.RawMessage) string {
	switch text[0] {
	case '{':
		return canonicalObject(text)
	case '[':
		items, err := rpc.Elements(text)
		if err != nil {
			return string(text)
		}
		parts := make([]string, 0, len(items))
		for _, item := range items {
			parts = append(parts, Canonical(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return string(text)
}

func canonicalObject(text json.RawMessage) string {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return string(text)
	}
	var parts []string
	o.Each(func(name string, value json.RawMessage) bool {
		parts = append(parts, string(rpc.AppendString(nil, name))+":"+Canonical(value))
		return true
	})
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

// Declares reports whether the capabilities of a client or server name an extension.
func Declares(capabilities json.RawMessage, extension string) bool {
	o, err := rpc.ReadObject(capabilities)
	if err != nil {
		return false
	}
	text, _ := o.Get(capExtensions)
	extensions, err := rpc.ReadObject(text)
	if err != nil {
		return false
	}
	_, ok := extensions.Get(extension)
	return ok
}
