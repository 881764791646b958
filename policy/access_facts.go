package policy

import (
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// accessFacts are what conditions of rules are about.
type accessFacts struct {
	principal *rpc.Principal
	act       *Act
}

// ResolveName implements [config.Facts].
func (f accessFacts) ResolveName(name string) (any, bool) {
	switch name {
	case config.FactPrincipal:
		p := f.principal
		return map[string]any{"org": p.Org, "team": p.Team, "key": p.Key, "user": p.User, "scopes": p.Scopes}, true
	case config.FactMethod:
		return f.act.Verb, true
	case config.FactName:
		return f.act.Name, true
	case config.FactArguments:
		if f.act.Arguments != nil {
			return f.act.Arguments(), true
		}
	}
	return nil, false
}

// maxJudged bounds what conditions look at: a value takes many times the memory of
// its text.
const maxJudged = 1 << 20

// arguments reads the arguments of a call when they are asked for first.
type arguments struct {
	call  *rpc.Call
	value any
	err   error
	read  bool
}

// get returns the arguments; an empty object where there are none or they cannot be
// read, which err then says.
func (a *arguments) get() any {
	if a.read {
		return a.value
	}
	a.read, a.value = true, map[string]any{}
	text, ok := a.call.Message.Get("arguments")
	name := "params.arguments"
	if a.call.Target.Kind == rpc.Model {
		text, ok, name = a.call.Message.Params, true, "params"
	}
	if !ok {
		return a.value
	}
	if len(text) > maxJudged {
		a.err = rpc.Errorf(rpc.TooLarge, "%s exceed %d bytes, more than access rules can judge", name, maxJudged)
		return a.value
	}
	value, err := rpc.Decode(text)
	if err != nil {
		a.err = rpc.Errorf(rpc.InvalidParams, "%s cannot be judged: %w", name, err)
		return a.value
	}
	a.value = value
	return value
}
