// Package gateway is the assembled process: it turns a configuration into running
// parts, wires them, opens the listeners and stops everything in order. Commands
// and tests run the gateway through it.
//
// It is the only package that knows all others, and it decides nothing about a
// single call. The order of the policies stands in chain.go, the order of shutdown
// in stop.go.
package gateway
