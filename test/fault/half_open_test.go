package fault

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/test/fault/link"
)

// descriptors is how many a process has open.
func (c *child) descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// linger opens a connection of the n-th kind, and leaves it open: idle after a request, a subscription, the stream of a session,
// HTTP+SSE, or a WebSocket.
func linger(t *testing.T, addr string, n int, c *client) {
	t.Helper()
	if n%5 == 4 {
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+addr+"/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		return
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	head, body := "", ""
	switch n % 5 {
	case 0:
		body = c.request(1, "tools/list", "", "")
		head = "POST /mcp HTTP/1.1\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n"
	case 1:
		body = c.request(1, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`, "")
		head = "POST /mcp HTTP/1.1\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n"
	case 2:
		head = "GET /mcp HTTP/1.1\r\nMCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: " + newClient(t, "http://"+addr+"/mcp", false, "{}").session + "\r\n"
	case 3:
		head = "GET /sse HTTP/1.1\r\n"
	}
	head += "Host: 127.0.0.1\r\nAccept: application/json, text/event-stream\r\n"
	if body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n%s", head, body); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%d: %q %v", n, line, err)
	}
}

// TestF9_ClientsThatLostTheirPower opens connections of all kinds, from which nothing is heard from then on, not even an
// acknowledgement. The gateway gives them up.
func TestF9_ClientsThatLostTheirPower(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("packets can be lost on Linux only")
		return
	}
	const promised = 60 * time.Second
	count, slow := times(50, 1000), "2s"
	if *full {
		slow = "30s" // as is the default
	}
	row := &Row{
		ID: "F9", What: "Half-open connections of clients (idle, subscription, GET stream, HTTP+SSE, WebSocket): given up within 60 s",
		Count: fmt.Sprintf("%d connections, a fifth of each kind", count),
	}
	enter(t, row)
	fine := serveHostile(t, &misdeed{}, true)
	g := spawn(t, "bounds: {slow_reader: "+slow+"}\nupstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	before := g.descriptors(t)
	l := link.Start(t, g.addr())
	for n := range count {
		linger(t, l.Addr(), n, &client{modern: true, capabilities: "{}"})
	}
	held := g.descriptors(t) - before
	if held < count {
		t.Fatalf("%d descriptors for %d connections", held, count)
	}
	if err := l.Set(link.Fault{Silent: true}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	// What is open toward the upstream for the sake of clients may stay for others.
	for g.descriptors(t)-before > 3 && time.Since(began) < 2*promised {
		time.Sleep(50 * time.Millisecond)
	}
	took := time.Since(began)
	row.Figures = fmt.Sprintf("%d descriptors were held, all but %d are free after %.1f s with slow_reader at %s", held, max(0, g.descriptors(t)-before), took.Seconds(), slow)
	if took > promised {
		t.Error(row.Figures)
	}
	if _, all, err := newClient(t, g.url, true, "{}").call(t.Context(), "fine__plain", `"arguments":{"nonce":"after"}`, "", nil); err != nil || len(all) != 1 || all[0].Result == nil {
		t.Errorf("a client that is there: %.300s %v", texts(all), err)
	}
}

// TestF9_UpstreamThatLostItsPower loses all packets of calls in flight. Each fails when its time is over, and gives back its slot.
func TestF9_UpstreamThatLostItsPower(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("packets can be lost on Linux only")
		return
	}
	leakless(t)
	count, timeout := times(50, 1000), times(3, 10)
	row := &Row{
		ID: "F9", What: "Half-open connections to an upstream: each call fails at its deadline, with one error, and its slot is free",
		Count: fmt.Sprintf("%d calls in flight, timeout %d s, as many slots", count, timeout),
	}
	enter(t, row)
	stuck := make(chan struct{}, count)
	evil := serveHostile(t, &misdeed{raw: func(_ *victim, _ *hostileConn) { stuck <- struct{}{} }}, true) // no word of an answer
	l := link.Start(t, evil.listener.Addr().String())
	g := startGateway(t, fmt.Sprintf("limits:\n  - {name: slots, scope: ip, unit: in_flight, limit: %d}\nupstreams:\n%s", count,
		upstreamEntry("evil", "modern", "http://"+l.Addr()+"/mcp", nil, fmt.Sprintf("timeout: %ds", timeout))))
	c := newClient(t, g.URL(), true, "{}")
	all := func(tool string) (slowest time.Duration, failed int) {
		var mu sync.Mutex
		var calls sync.WaitGroup
		for n := range count {
			calls.Go(func() {
				began := time.Now()
				_, got, err := c.call(t.Context(), "evil__"+tool, fmt.Sprintf(`"arguments":{"nonce":"n%d"}`, n), "", nil)
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, time.Since(began))
				if err != nil || len(got) != 1 {
					t.Errorf("%s: %.300s %v", tool, texts(got), err)
				} else if got[0].Error != nil {
					failed++
				}
			})
		}
		if tool == "hostile" {
			for range count {
				<-stuck
			}
			if err := l.Set(link.Fault{Silent: true}); err != nil {
				t.Error(err)
			}
		}
		calls.Wait()
		return slowest, failed
	}
	slowest, failed := all("hostile")
	if failed != count {
		t.Errorf("%d of %d calls failed", failed, count)
	}
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upstream is tried again", func() bool {
		_, got, err := c.call(t.Context(), "evil__plain", `"arguments":{"nonce":"again"}`, "", nil)
		return err == nil && len(got) == 1 && got[0].Result != nil
	})
	// Slots that were not given back would be missing now.
	_, failed = all("plain")
	if failed != 0 {
		t.Errorf("%d of %d calls after it failed", failed, count)
	}
	row.Figures = fmt.Sprintf("the last failed after %.1f s", slowest.Seconds())
}
