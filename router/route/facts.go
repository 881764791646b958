package route

import (
	"cmp"
	"errors"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// maxArguments bounds what conditions look at: a value takes many times the memory of
// its text.
const maxArguments = 1 << 20

// facts are what the condition of a rule is about.
type facts struct {
	call      *rpc.Call
	target    *rpc.Target
	arguments any
	err       error // why the arguments cannot be looked at
}

// ResolveName implements [config.Facts].
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case config.FactPrincipal:
		p := &f.call.Principal
		return map[string]any{"org": p.Org, "team": p.Team, "key": p.Key, "user": p.User, "scopes": p.Scopes}, true
	case config.FactMethod:
		return verbOf(f.call, f.target.Kind), true
	case config.FactName:
		return cmp.Or(f.target.Canonical, f.target.Own), true // the URI of a resource that nobody is known to have
	case config.FactArguments:
		if f.arguments == nil {
			f.arguments, f.err = read(f.call.Message, f.target.Kind)
		}
		return f.arguments, true
	}
	return nil, false
}

// read returns the arguments of a call, an empty object where there are none. Those of a model are all its params.
func read(m *rpc.Message, kind rpc.Kind) (any, error) {
	none := map[string]any{}
	text, ok := m.Get("arguments")
	if kind == rpc.Model {
		text, ok = m.Params, m.Params != nil
	}
	switch {
	case !ok:
		return none, nil
	case len(text) > maxArguments:
		return none, errors.New("the arguments are too long for a condition")
	}
	value, err := rpc.Decode(text)
	if err != nil || value == nil {
		return none, err
	}
	return value, nil
}
