package mcp

import (
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
)

// maxTTL bounds what a server may say of its answers.
const maxTTL = time.Hour

// LifetimeOf reads how long a result may be kept (MCP 2026-07-28, Caching) that a server
// gave which spoke a revision. In legacy ones, members of these names, which some servers
// send, mean nothing; an empty revision counts as modern. What is
// negative or no number counts as zero.
func LifetimeOf(m *rpc.Message, spoken rpc.Revision) *rpc.Lifetime {
	if spoken != "" && EraOf(spoken) == rpc.Legacy {
		return &rpc.Lifetime{}
	}
	text, said := m.Get("ttlMs")
	scope, _ := m.Text("cacheScope")
	ms, err := strconv.ParseFloat(string(text), 64)
	if err != nil || ms < 0 {
		ms = 0
	}
	ttl := time.Duration(min(ms, float64(maxTTL/time.Millisecond))) * time.Millisecond
	return &rpc.Lifetime{Said: said, TTL: ttl, Public: scope == "public"}
}
