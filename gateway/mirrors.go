package gateway

import "github.com/headgate/headgate/router/route"

// Mirrors returns what became of the copies that routing rules have made so far, for each upstream that got
// some. Nothing is reset by it.
func (g *Gateway) Mirrors() []route.Count { return g.mirrors.Counts() }
