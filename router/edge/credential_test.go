package edge_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// bouncer stands for authentication: it lets clients in until it is told otherwise, or
// for a certain time.
type bouncer struct {
	closed atomic.Bool
	until  time.Time
	asked  atomic.Int64
}

func (b *bouncer) refuse(c *rpc.Call) error {
	b.asked.Add(1)
	if c.Principal.Expires = b.until; b.closed.Load() || !b.until.IsZero() && !time.Now().Before(b.until) {
		return rpc.Errorf(rpc.Unauthenticated, "you may not be here")
	}
	return nil
}

// lasting opens everything that lasts, each at a gate of its own, and returns how to
// wait for its end.
var lasting = map[string]func(t *testing.T, g *gate) (wait func() string){
	"stream of a session": func(t *testing.T, g *gate) func() string {
		return g.streaming("GET", "", append(g.session(), "Accept", "text/event-stream")...)
	},
	"HTTP+SSE": func(t *testing.T, g *gate) func() string {
		return g.streaming("GET", "", "Path", "/sse", "Accept", "text/event-stream")
	},
	"subscriptions": func(t *testing.T, g *gate) func() string {
		body, header := modern("1", mcp.Listen, "")
		return g.streaming("POST", body, header...)
	},
	"WebSocket": func(t *testing.T, g *gate) func() string {
		c := g.socket()
		return func() string {
			if code := c.closed(); code != websocket.CloseGoingAway {
				t.Errorf("close code %d", code)
			}
			return ""
		}
	},
}

// streaming opens a stream.
func (g *gate) streaming(verb, body string, header ...string) func() string {
	g.tb.Helper()
	resp := g.send(g.tb.Context(), verb, body, header...)
	g.tb.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		g.tb.Fatalf("%s %s: %s", verb, body, resp.Status)
	}
	return func() string {
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			g.tb.Errorf("%s: %v", text, err)
		}
		return string(text)
	}
}

func TestWhatLastsEndsWithTheCredential(t *testing.T) {
	t.Parallel()
	for name, begin := range lasting {
		for _, expires := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := &bouncer{}
					if expires {
						b.until = time.Now().Add(50 * time.Second)
					}
					g := open(t, setup{refuse: b.refuse, handle: hangs, memory: true, edge: edge.Config{Heartbeat: 20 * time.Second, Patience: time.Second}})
					began := time.Now()
					wait := begin(t, g)
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						wait()
					}()
					time.Sleep(45 * time.Second)
					select {
					case <-ended:
						t.Fatal("it ended while the credential was good")
					default:
					}
					if !expires {
						b.closed.Store(true)
					}
					<-ended
					limit := 90 * time.Second
					if expires && name != "subscriptions" { // which is known beforehand
						limit = 50 * time.Second
					}
					if lasted := time.Since(began); lasted > limit {
						t.Errorf("it lasted %v", lasted)
					}
				})
			})
		}
	}
}

// hangs never answers.
func hangs(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
	return rpc.NewReply(play(ctx, make(chan *rpc.Message), nil)), nil
}

// What is wrong with a request is said only to who may be here, and his credential is
// looked at once.
func TestNothingIsSaidToWhoMayNotBeHere(t *testing.T) {
	t.Parallel()
	b := &bouncer{}
	g := open(t, setup{refuse: b.refuse})
	session := g.session()
	b.closed.Store(true)
	for name, send := range map[string]func() answer{
		"no JSON":         func() answer { return g.do("POST", "{") },
		"no session":      func() answer { return g.do("POST", request("1", "ping")) },
		"unknown session": func() answer { return g.do("POST", request("1", "ping"), "Mcp-Session-Id", "x") },
		"media type":      func() answer { return g.do("POST", "{}", "Content-Type", "text/plain") },
		"verb":            func() answer { return g.do("PATCH", "") },
		"GET":             func() answer { return g.do("GET", "") },
		"batch":           func() answer { return g.do("POST", "[]", session...) },
		"good":            func() answer { return g.do("POST", request("1", "ping"), session...) },
	} {
		before := b.asked.Load()
		if a := send(); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if n := b.asked.Load() - before; n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	if a := g.do("POST", "{}", "Path", "/nowhere"); a.status != http.StatusNotFound {
		t.Errorf("another path: %d", a.status)
	}
	if a := g.do("POST", request("1", "ping"), "Authorization", "Bearer a", "+Authorization", "Bearer b"); a.status != http.StatusBadRequest {
		t.Errorf("two credentials: %d", a.status)
	}
}
