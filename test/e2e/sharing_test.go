package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// sharedCalls is how many calls the clients of one child make together, at least.
const sharedCalls = 100_000

func TestClientsThatShareAChildGetTheirOwnAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 100,000 calls")
	}
	g := startGateway(t, "upstreams:\n"+stdioUpstream("child", stdioServer(t, "-latency", "2ms")))
	url := endpoint(g, "/mcp")
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	const clients = 64
	const perClient = (sharedCalls + clients - 1) / clients
	var answered, wrong atomic.Int64
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			r := legacy(t, url, "{}")
			for n := range perClient {
				nonce := fmt.Sprintf("%d-%d", client, n)
				_, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"child__echo","arguments":{"nonce":"`+nonce+`"}}}`, nil)
				answered.Add(1)
				if !strings.Contains(body, `"`+nonce+`"`) && !strings.Contains(body, nonce+`\"`) || !strings.Contains(body, `"id":1,`) {
					wrong.Add(1)
					if wrong.Load() < 5 {
						t.Errorf("nonce %s: %s", nonce, body)
					}
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d calls answered, %d with something else than their own nonce", answered.Load(), wrong.Load())
	if want := int64(perClient * clients); answered.Load() != want || wrong.Load() != 0 {
		t.Errorf("%d of %d answered, %d wrong", answered.Load(), want, wrong.Load())
	}
}
