package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// perReader is how much memory of the gateway one reader may hold.
	perReader = 320 << 10
	// stillFor is how long nothing may move until all are taken to be stuck.
	stillFor = 500 * time.Millisecond
)

// fountain is an upstream that answers calls of its tool "hostile" with progress, as fast as it is taken, for ever.
type fountain struct {
	*hostileHTTP
	sent, running atomic.Int64 // bytes, and calls that are being answered
}

func startFountain(t *testing.T) *fountain {
	f := &fountain{}
	text := strings.Repeat("x", 16<<10)
	f.hostileHTTP = serveHostile(t, &misdeed{raw: func(v *victim, c *hostileConn) {
		f.running.Add(1)
		defer f.running.Add(-1)
		c.openEvents()
		for n := 1; c.write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":%d,\"message\":%q}}\n\n",
			v.id, n, text); n++ {
			f.sent.Add(int64(len(text)))
		}
	}}, true)
	return f
}

// drink opens a stream of the fountain.
func drink(c *client, addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	body := c.request(c.ids.Add(1), "tools/call", `"name":"evil__hostile","arguments":{"nonce":"n"}`, `"progressToken":7`)
	_, err = fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: evil__hostile\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return conn, err
}

// sip reads a byte a second from a stream until ctx ends.
func sip(ctx context.Context, conn net.Conn) {
	defer conn.Close() // who sees the end before the function below is called also stops it
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	one := make([]byte, 1)
	for {
		if _, err := conn.Read(one); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stuck waits until an upstream can send no more.
func stuck(t *testing.T, sent *atomic.Int64) {
	t.Helper()
	end := time.Now().Add(patience)
	for last, since := int64(-1), time.Now(); time.Since(since) < stillFor; time.Sleep(10 * time.Millisecond) {
		if now := sent.Load(); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(end) {
			t.Fatal("the upstream is never held up")
		}
	}
}

// paces measures calls that nothing is wrong with, and returns how long 99 of 100 took at most.
func paces(t *testing.T, c *client, count int) time.Duration {
	t.Helper()
	var took []time.Duration
	for range count {
		began := time.Now()
		_, all, err := c.call(t.Context(), "fine__plain", `"arguments":{"nonce":"quick"}`, "", nil)
		if err != nil || len(all) != 1 || all[0].Result == nil {
			t.Fatalf("%.300s %v", texts(all), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// TestT29_SlowReaders lets clients read a byte a second of what an upstream sends as fast as it can. They hold the upstream
// up, and not the gateway's memory or other clients.
func TestT29_SlowReaders(t *testing.T) {
	readers, calls := times(40, 200), times(200, 5000)
	row := &Row{
		ID: "T29", What: "clients that read 1 B/s from an upstream that never stops: 320 KiB each at most, others are as fast as ever",
		Count: fmt.Sprintf("%d readers, %d calls beside them", readers, calls),
	}
	enter(t, row)
	evil := startFountain(t)
	fine := serveHostile(t, &misdeed{}, true)
	g := spawn(t, "bounds: {slow_reader: 1h}\nupstreams:\n"+upstreamEntry("evil", "modern", evil.url(), nil)+upstreamEntry("fine", "modern", fine.url(), nil))
	c := newClient(t, g.url, true, "{}")
	paces(t, c, calls) // warm
	alone, before := paces(t, c, calls), g.memory(t, "VmRSS")

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range readers {
		conn, err := drink(c, g.addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // what the system buffers is not the gateway's
		all.Go(func() { sip(ctx, conn) })
	}
	eventually(t, "all are answered", func() bool { return evil.running.Load() == int64(readers) })
	stuck(t, &evil.sent)
	growth := g.memory(t, "VmHWM") - before
	beside := paces(t, c, calls)
	cancel()
	all.Wait()
	row.Figures = fmt.Sprintf("%d KiB for each reader; p99 of others %v before and %v beside them", growth>>10/int64(readers),
		alone.Round(time.Microsecond), beside.Round(time.Microsecond))
	if growth > int64(readers)*perReader*memoryOfRaces {
		t.Errorf("memory grew by %d KiB for each of %d readers", growth>>10/int64(readers), readers)
	}
	if *full && beside > alone*3/2 {
		t.Error(row.Figures)
	}
}

// TestF12_SlowAndFast lets as many clients call at a human pace beside slow readers as there are of these.
func TestF12_SlowAndFast(t *testing.T) {
	const promised = 64 << 20
	clients, calls := times(40, 200), times(5, 30)
	row := &Row{
		ID: "F12", What: "Slow readers at 1 B/s beside as many fast clients: memory grows by 64 MiB at most, p99 of the fast is 1.5 × at most",
		Count: fmt.Sprintf("%d readers, %d fast clients with %d calls each", clients, clients, calls),
	}
	enter(t, row)
	evil := startFountain(t)
	fine := serveHostile(t, &misdeed{}, true)
	g := spawn(t, "bounds: {slow_reader: 1h}\nupstreams:\n"+upstreamEntry("evil", "modern", evil.url(), nil)+upstreamEntry("fine", "modern", fine.url(), nil))
	fast := func() time.Duration {
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		for i := range clients {
			c := newClient(t, g.url, true, "{}")
			all.Go(func() {
				for range calls {
					began := time.Now()
					_, got, err := c.call(t.Context(), "fine__plain", `"arguments":{"nonce":"fast"}`, "", nil)
					if err != nil || len(got) != 1 || got[0].Result == nil {
						t.Errorf("%.300s %v", texts(got), err)
					}
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
					time.Sleep(time.Duration(400+i) * time.Millisecond)
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	alone, before := fast(), g.memory(t, "VmRSS")
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	c := newClient(t, g.url, true, "{}")
	for range clients {
		conn, err := drink(c, g.addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // what the system buffers is not the gateway's
		readers.Go(func() { sip(ctx, conn) })
	}
	eventually(t, "all are answered", func() bool { return evil.running.Load() == int64(clients) })
	stuck(t, &evil.sent)
	beside := fast()
	growth := g.memory(t, "VmRSS") - before
	cancel()
	readers.Wait()
	row.Figures = fmt.Sprintf("memory grew by %d MiB; p99 of the fast %v before and %v beside them", growth>>20,
		alone.Round(10*time.Microsecond), beside.Round(10*time.Microsecond))
	if growth > promised*memoryOfRaces {
		t.Error(row.Figures)
	}
	if *full && beside > alone*3/2 {
		t.Error(row.Figures)
	}
}

// TestT29_SlowReadersAreCutOff holds a client to the time it has to take what is written.
func TestT29_SlowReadersAreCutOff(t *testing.T) {
	leakless(t)
	evil := startFountain(t)
	g := startGateway(t, "bounds: {slow_reader: 1s}\nupstreams:\n"+upstreamEntry("evil", "modern", evil.url(), nil))
	conn, err := drink(newClient(t, g.URL(), true, "{}"), g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	eventually(t, "it is answered", func() bool { return evil.sent.Load() > 0 })
	eventually(t, "the upstream is left", func() bool { return evil.running.Load() == 0 })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err = io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the stream goes on")
	}
}
