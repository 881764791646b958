package mcp

import "github.com/headgate/headgate/rpc"

// Verb returns the method as which access to a call is judged: what is asked for, or
// completed, or subscribed to is judged as if it were used. It is empty for calls that
// everybody may make: those that open and keep a conversation, that concern a call of
// the caller's own, and lists, which show only what may be used.
func Verb(c *rpc.Call) string {
	switch c.Method.Name {
	case ToolsCall, PromptsGet, ResourcesRead:
		return c.Method.Name
	case Complete:
		if c.Target.Kind != rpc.None {
			return VerbOf(c.Target.Kind)
		}
		return Complete // of something that nobody here knows
	}
	if Known(c.Method.Name) || edgeMethods[c.Method.Name] != nil {
		return ""
	}
	return c.Method.Name
}

// Listed returns the method by which is used what a call lists, empty if it lists
// nothing.
func Listed(c *rpc.Call) string {
	switch c.Method.Name {
	case ToolsList:
		return ToolsCall
	case PromptsList:
		return PromptsGet
	case ResourcesList, TemplatesList:
		return ResourcesRead
	}
	return ""
}

// VerbOf returns the method by which things of a kind are used.
func VerbOf(k rpc.Kind) string {
	switch k {
	case rpc.Prompt:
		return PromptsGet
	case rpc.Resource:
		return ResourcesRead
	default:
		return ToolsCall
	}
}
