// Package admin is the operator's side of the gateway, on a listener of its own:
// whether the process lives and whether it should get traffic.
//
// It serves no client and changes nothing.
package admin
