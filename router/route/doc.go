// Package route decides who serves a call instead of the owner of its name: the
// table of the rules that a configuration has, how their weights divide calls, and
// the mirrors that get copies of calls, whose answers are compared and counted.
//
// It looks at calls that were resolved, and changes none of them: package router
// does what is decided here. It knows no transport and asks no catalogue.
package route
