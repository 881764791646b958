// Package admin is the operators' side of the gateway, on a listener of its own: whether
// the process lives and should get traffic, why a call is refused, and an API through
// which operators see what the gateway does and stop calls and sessions.
//
// It serves no client. What it shows it is told by the gateway, through functions; it
// decides who is told, how much at once, and how often.
package admin
