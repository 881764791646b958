package mcp

import (
	"slices"

	"github.com/headgate/headgate/rpc"
)

// Traits is what a revision can do, as far as the gateway has to know.
type Traits struct {
	Revision      rpc.Revision
	Era           rpc.Era
	Streamable    bool // Streamable HTTP rather than HTTP+SSE
	Batches       bool // arrays of messages
	Resumable     bool // event streams that broke can be resumed
	Primed        bool // event streams begin with an id and no data (SEP-1699)
	VersionHeader bool // MCP-Protocol-Version is required after initialize
	Mirrored      bool // Mcp-Method and Mcp-Name mirror the body (SEP-2243)
	ResultType    bool // results carry resultType, lists and reads ttlMs and cacheScope
	AnyStructured bool // structuredContent and outputSchema may be any JSON, not only objects
	Audio         bool // content may be audio
	Links         bool // content may link to resources
	Elicitation   bool // servers may ask the user, by a form
	Context       bool // completions may name what was chosen before
	RichAsking    bool // elicitation by URL and with all forms of enum, sampling with tools
}

// revisions in the order in which they appeared. A new revision is a new row.
var revisions = []Traits{
	{Revision: "2024-11-05"},
	{Revision: "2025-03-26", Streamable: true, Resumable: true, Batches: true, Audio: true},
	{Revision: "2025-06-18", Streamable: true, Resumable: true, VersionHeader: true, Audio: true, Links: true, Elicitation: true, Context: true},
	{Revision: "2025-11-25", Streamable: true, Resumable: true, Primed: true, VersionHeader: true, Audio: true, Links: true, Elicitation: true, Context: true, RichAsking: true},
	{
		Revision: "2026-07-28", Era: rpc.Modern, Streamable: true, VersionHeader: true,
		Mirrored: true, ResultType: true, AnyStructured: true, Audio: true, Links: true, Elicitation: true, Context: true, RichAsking: true,
	},
}

// LatestLegacy and LatestModern are what the gateway offers first in each era.
// AssumedRevision is what a legacy HTTP request without a version header is taken
// for (MCP 2025-06-18, Transports, Protocol Version Header).
const (
	LatestLegacy    rpc.Revision = "2025-11-25"
	LatestModern    rpc.Revision = "2026-07-28"
	AssumedRevision rpc.Revision = "2025-03-26"
)

// Of returns the traits of a revision, and false if it is not known here.
func Of(r rpc.Revision) (*Traits, bool) {
	if i := index(r); i >= 0 {
		return &revisions[i], true
	}
	return nil, false
}

func index(r rpc.Revision) int {
	return slices.IndexFunc(revisions, func(t Traits) bool { return t.Revision == r })
}

// Supported lists all known revisions, newest first.
func Supported() []rpc.Revision {
	var out []rpc.Revision
	for _, t := range slices.Backward(revisions) {
		out = append(out, t.Revision)
	}
	return out
}

// Agree returns the revision an initialize that asks for r is answered with: r
// itself if it is a known legacy one, else the latest legacy one (MCP 2025-11-25,
// Lifecycle, Version Negotiation).
func Agree(r rpc.Revision) rpc.Revision {
	if t, ok := Of(r); ok && t.Era == rpc.Legacy {
		return r
	}
	return LatestLegacy
}

// IsModern reports whether r names a known modern revision.
func IsModern(r rpc.Revision) bool {
	t, ok := Of(r)
	return ok && t.Era == rpc.Modern
}

// EraOf returns the era of a revision that a peer names, known or not. A name that
// sorts behind all legacy revisions is taken for a modern one: it gets the answer that
// lists what is spoken here.
func EraOf(r rpc.Revision) rpc.Era {
	if t, ok := Of(r); ok {
		return t.Era
	}
	if r > LatestLegacy {
		return rpc.Modern
	}
	return rpc.Legacy
}

// PickModern returns the newest modern revision among those offered, or "" if
// there is none.
func PickModern(offered []rpc.Revision) rpc.Revision {
	for _, t := range slices.Backward(revisions) {
		if t.Era == rpc.Modern && slices.Contains(offered, t.Revision) {
			return t.Revision
		}
	}
	return ""
}
