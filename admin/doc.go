// Package admin is the operator's side of the gateway, on a listener of its own:
// whether the process lives, whether it should get traffic, and why a call is refused.
//
// It serves no client and changes nothing.
package admin
