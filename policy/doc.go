// Package policy holds what may refuse, delay, answer or alter a call: one
// middleware a file, each an [rpc.Middleware]. Their order is one slice in package
// gateway; configuration switches them on and never reorders them.
//
// A policy sees each client message once, before it is fanned out. It knows neither
// transports nor upstreams, and not which engine counts for it.
package policy
