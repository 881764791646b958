package config

import (
	"errors"
	"strings"
)

// AccessRule narrows what some callers may do. Every rule that concerns a call has to let it pass.
type AccessRule struct {
	// Position is where the rule begins.
	Position Position `yaml:"-"`

	// Whom the rule concerns; everybody if it is left out.
	Who Who `yaml:"who"`
	// Of what the scopes allow, what remains: METHOD or METHOD:NAME, both globs. NAME is a canonical tool (UPSTREAM__name), a prompt, a URI
	// or a model. Left out, everything remains.
	Allow []string `yaml:"allow" check:"access pattern" items:"some"`
	// What does not: METHOD or METHOD:NAME. It wins over allow.
	Deny []string `yaml:"deny" check:"access pattern"`
	// When the rule concerns a call: a condition in CEL over principal, method, name and args. One over args hides nothing from lists.
	When *Condition `yaml:"when"`
}

// Who chooses callers. Each part is a glob; what is left out is of no concern.
type Who struct {
	// The organisation.
	Org string `yaml:"org" check:"filled"`
	// The team.
	Team string `yaml:"team" check:"filled"`
	// The id of the API key.
	Key string `yaml:"key" check:"filled"`
	// The user.
	User string `yaml:"user" check:"filled"`
}

// Matches reports whether the rule concerns a caller.
func (w Who) Matches(org, team, key, user string) bool {
	return chosen(w.Org, org) && chosen(w.Team, team) && chosen(w.Key, key) && chosen(w.User, user)
}

func chosen(pattern, value string) bool { return pattern == "" || Match(pattern, value) }

// checkAccessPattern allows METHOD or METHOD:NAME.
func checkAccessPattern(s string) error {
	method, name, named := strings.Cut(s, ":")
	switch {
	case method == "":
		return errors.New("must be METHOD or METHOD:NAME, such as tools/call:files__*")
	case named && name == "":
		return errors.New("has no NAME after the colon; leave the colon out to mean all")
	case strings.ContainsAny(method, " \t,"):
		return errors.New("must be one METHOD, such as tools/call, without spaces and commas")
	}
	return checkNoNUL(s)
}
