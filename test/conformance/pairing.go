package main

import (
	"fmt"

	"github.com/headgate/headgate/test/peer"
)

// Pairing is one row: the suite as a client of one revision, and a server of one era behind the gateway; or a client
// before the gateway, and the suite as its server.
type Pairing struct {
	Spec   string    `json:"spec"`             // revision that the suite speaks
	Server peer.Name `json:"server,omitempty"` // server behind the gateway; none if that is the suite
	Stdio  bool      `json:"stdio"`            // the gateway starts the server; the direct run is over HTTP all the same
	// Across is set where the suite and the server are of different eras: it is the server of the suite's own era,
	// which the direct run is against.
	Across peer.Name `json:"across,omitempty"`
	// Direct is how many checks succeed without a gateway. It is pinned, so that a direct run that goes wrong
	// cannot lower what is asked of the gateway.
	Direct int `json:"direct"`
}

// suiteServes reports whether the suite is the server of the row.
func (p Pairing) suiteServes() bool { return p.Server == "" }

// Transport returns how the gateway reaches the server.
func (p Pairing) Transport() string {
	if p.Stdio {
		return "stdio"
	}
	return "http"
}

// Ends returns who is before the gateway and who behind it.
func (p Pairing) Ends() (client, server string) {
	switch {
	case p.suiteServes():
		return "go-sdk-suite-client", "suite"
	case p.Across != "":
		return "suite", string(p.Server) + ", across eras"
	default:
		return "suite", string(p.Server)
	}
}

// String names the row.
func (p Pairing) String() string {
	client, server := p.Ends()
	return fmt.Sprintf("%s, %s to %s (%s)", p.Spec, client, server, p.Transport())
}

// alone returns the row of the direct run, which several rows can share.
func (p Pairing) alone() Pairing {
	server := p.Server
	if p.Across != "" {
		server = p.Across
	}
	return Pairing{Spec: p.Spec, Server: server, Direct: p.Direct}
}

// era returns what the gateway is told of the server's era. Across eras it must be told: the modern server
// serves legacy clients too, in a reduced way, and the gateway would use that.
func (p Pairing) era() string {
	switch {
	case p.Across == "":
		return "auto"
	case p.Server == peer.GoSDKSuiteModern:
		return "modern"
	default:
		return "legacy"
	}
}

// Scenarios of multi round-trip requests (SEP-2322): how their names begin, and how many the suite has.
const (
	multiRound      = "input-required-result-"
	multiRoundCount = 14
)

// rounds returns how many scenarios of multi round-trip requests must be kept whole: all, within the modern era.
func (p Pairing) rounds() int {
	if p.Server == peer.GoSDKSuiteModern && p.Spec == "2026-07-28" {
		return multiRoundCount
	}
	return 0
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

	{Spec: "2025-03-26", Server: peer.GoSDKSuiteModern, Across: peer.GoSDKSuiteLegacy, Direct: 3},
	{Spec: "2025-06-18", Server: peer.GoSDKSuiteModern, Across: peer.GoSDKSuiteLegacy, Direct: 56},
	{Spec: "2025-11-25", Server: peer.GoSDKSuiteModern, Across: peer.GoSDKSuiteLegacy, Direct: 82},
	{Spec: "2025-11-25", Server: peer.GoSDKSuiteModern, Across: peer.GoSDKSuiteLegacy, Direct: 82, Stdio: true},
	{Spec: "2026-07-28", Server: peer.GoSDKSuiteLegacy, Across: peer.GoSDKSuiteModern, Direct: 153},
	{Spec: "2026-07-28", Server: peer.GoSDKSuiteLegacy, Across: peer.GoSDKSuiteModern, Direct: 153, Stdio: true},

	{Spec: "2025-11-25", Direct: 20},
	{Spec: "2026-07-28", Direct: 62},
}
