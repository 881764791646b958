package model

import (
	"strings"

	"github.com/headgate/headgate/rpc"
)

// Entry is a model as it is configured, or all whose names match a glob.
type Entry struct {
	Name    string // exact, or a glob
	Aliases []string
	Context int64 // tokens that prompt and answer may have together; 0 if that is not known
	Labels  map[string]string
	Streams bool // its answers can be had in chunks
	Handler rpc.Handler
	// Status tells how the pool is doing.
	Status func() Status
	// Place tells which place in the queue a caller's next call has, from 1; 0 if none of its waits. It may be nil.
	Place func(caller *rpc.Principal) int
	// Names are the models of a glob that its backends are known to have. It may be nil.
	Names func() []string
}

// Status is how the pool of a model is doing.
type Status struct {
	Available  bool // there is a backend to ask
	Warming    bool // there will be one, when the model is loaded
	QueueDepth int  // calls that wait
	InFlight   int  // calls that are being served
	Healthy    int  // backends that are well
	Total      int  // backends
}

// isGlob reports whether the entry stands for more than one model.
func (e *Entry) isGlob() bool { return strings.ContainsAny(e.Name, "*?") }

// target returns what a call is about that names a model, which the entry serves.
func (e *Entry) target(exposed string) rpc.Target {
	name := e.Name
	if e.isGlob() {
		name = exposed
	}
	return rpc.Target{Kind: rpc.Model, Exposed: exposed, Canonical: name, Upstream: e.Name, Own: name, Idempotent: true}
}

// models returns the targets that clients are shown for an entry.
func (e *Entry) models() []rpc.Target {
	if !e.isGlob() || e.Names == nil {
		return []rpc.Target{e.target(e.Name)}
	}
	var out []rpc.Target
	for _, name := range e.Names() {
		out = append(out, e.target(name))
	}
	if len(out) == 0 {
		return []rpc.Target{e.target(e.Name)}
	}
	return out
}
