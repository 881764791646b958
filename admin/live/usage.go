package live

import "github.com/headgate/headgate/rpc"

// Usage is what a call has used of a model, in tokens.
type Usage struct {
	Input     int64 `json:"inputTokens"`
	Output    int64 `json:"outputTokens"`
	Cached    int64 `json:"cachedTokens,omitempty"`
	Estimated bool  `json:"estimated,omitempty"` // nobody knows better yet, or ever will
}

// usageOf shows what was used; nil where that is nothing.
func usageOf(u rpc.Usage) *Usage {
	if u == (rpc.Usage{}) {
		return nil
	}
	return &Usage{Input: u.Input, Output: u.Output, Cached: u.Cached, Estimated: u.Estimated}
}

// requestOf is what a call is known by to its client: of the inference dialect the gateway's name for it, which stands in logs and errors too.
func requestOf(c *rpc.Call) string {
	if c.Record.ID != "" {
		return c.Record.ID
	}
	return c.Message.ID.String()
}
