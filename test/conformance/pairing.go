package main

import (
	"github.com/headgate/headgate/test/peer"
)

// Pairing is one row: the suite as a client of one revision, and a server of one era behind the gateway.
type Pairing struct {
	Spec   string    `json:"spec"`   // revision that the suite speaks
	Server peer.Name `json:"server"` // server behind the gateway
	Stdio  bool      `json:"stdio"`  // the gateway starts the server; the direct run is over HTTP all the same
	// Direct is how many checks succeed without a gateway. It is pinned, so that a direct run that goes wrong
	// cannot lower what is asked of the gateway.
	Direct int `json:"direct"`
}

// Transport returns how the gateway reaches the server.
func (p Pairing) Transport() string {
	if p.Stdio {
		return "stdio"
	}
	return "http"
}

// pairings is the matrix.
var pairings = []Pairing{
	{Spec: "2025-03-26", Server: peer.GoSDKSuiteLegacy, Direct: 3},
	{Spec: "2025-06-18", Server: peer.GoSDKSuiteLegacy, Direct: 56},
	{Spec: "2025-11-25", Server: peer.GoSDKSuiteLegacy, Direct: 82},
	{Spec: "2025-11-25", Server: peer.GoSDKSuiteLegacy, Direct: 82, Stdio: true},
	{Spec: "2025-11-25", Server: peer.GoSDKSuiteModern, Direct: 64},
	{Spec: "2026-07-28", Server: peer.GoSDKSuiteModern, Direct: 153},
	{Spec: "2026-07-28", Server: peer.GoSDKSuiteModern, Direct: 153, Stdio: true},
}
