package fault

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// TestT25_LateQuestionsReachNobody asks on the stream of a session whose call has been answered. The next call of a
// modern client that uses the session can be another user's, so the gateway refuses the question.
func TestT25_LateQuestionsReachNobody(t *testing.T) {
	leakless(t)
	runs := times(20, 1000)
	row := &Row{
		ID: "T25", What: "A legacy server asks after the result, on its session's own stream: no other modern client is asked",
		Count: fmt.Sprintf("%d questions", runs),
	}
	enter(t, row)
	var refused, calls atomic.Int64
	deed := misdeed{name: "a late question", asks: true, lazy: true, fate: answered, raw: func(v *victim, c *hostileConn) {
		c.json(v.good())
		c.onStream(v.elicit(`"aside"`))
	}}
	server := serveHostile(t, &deed, false)
	server.handle = func(r *request, _ *hostileConn) bool {
		if r.Method == "" && r.Error != nil {
			refused.Add(1)
		}
		return false
	}
	g := startGateway(t, "upstreams:\n"+upstreamEntry("evil", "legacy", server.url(), nil))
	var callers []*caller
	for _, name := range []string{"A", "B"} {
		c := newClient(t, "http://"+g.Addr()+"/mcp", true, `{"elicitation":{}}`)
		callers = append(callers, &caller{client: c, name: name, deed: deed, calls: &calls})
	}
	for n := range int64(runs) {
		callers[n%2].one(t, "hostile", int(n), answered)
		eventually(t, fmt.Sprint("the question is refused ", n), func() bool { return refused.Load() > n })
		callers[(n+1)%2].one(t, "plain", int(n), answered)
		if t.Failed() {
			return
		}
	}
	row.Figures = fmt.Sprintf("%d refused", refused.Load())
}
