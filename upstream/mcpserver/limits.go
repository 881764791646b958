package mcpserver

import "github.com/headgate/headgate/rpc"

// upstreamLimits bounds what is accepted from upstreams. They may nest deeper than
// clients: schemas do.
var upstreamLimits = rpc.Limits{Depth: 2 * rpc.DefaultDepth}
