package fault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// outcome is what came back for one call.
type outcome struct {
	at     time.Time // when it was made
	took   time.Duration
	status int
	again  int // seconds, of Retry-After
	err    error
}

// line is one connection that makes the same call again and again, with as little work as possible: who offers ten times
// what an upstream can do shares the machine with the gateway.
type line struct {
	addr    string
	request []byte
	conn    net.Conn
	in      *bufio.Reader
}

// newLine prepares calls of a tool by a key. Arguments are JSON.
func newLine(g *child, key, tool, arguments string) *line {
	c := &client{modern: true, capabilities: "{}"}
	body := c.request(1, "tools/call", fmt.Sprintf(`"name":%q,"arguments":%s`, tool, arguments), "")
	return &line{addr: g.addr(), request: fmt.Appendf(nil, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: %s\r\nContent-Length: %d\r\n\r\n%s",
		key, tool, len(body), body)}
}

// call makes the call once.
func (l *line) call() (a outcome) {
	a.at = time.Now()
	defer func() {
		a.took = time.Since(a.at)
		if a.err != nil {
			l.hangUp()
		}
	}()
	if l.conn == nil {
		if l.conn, a.err = net.Dial("tcp", l.addr); a.err != nil {
			l.conn = nil
			return a
		}
		l.in = bufio.NewReader(l.conn)
	}
	if a.err = l.conn.SetDeadline(a.at.Add(patience)); a.err != nil {
		return a
	}
	if _, a.err = l.conn.Write(l.request); a.err != nil {
		return a
	}
	res, err := http.ReadResponse(l.in, nil)
	if a.err = err; err != nil {
		return a
	}
	a.status = res.StatusCode
	a.again, _ = strconv.Atoi(res.Header.Get("Retry-After"))
	_, a.err = io.Copy(io.Discard, res.Body)
	return a
}

func (l *line) hangUp() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// offer makes so many calls a second over lines, whether they are answered or not, until ctx ends. Where all lines wait for an
// answer calls are not made, and not made up for.
func offer(ctx context.Context, rate int, lines []*line) (all []outcome) {
	const beat = time.Millisecond
	due := make(chan struct{})
	var mu sync.Mutex
	var workers sync.WaitGroup
	for _, l := range lines {
		workers.Go(func() {
			defer l.hangUp()
			var own []outcome
			for range due {
				own = append(own, l.call())
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	began, made := time.Now(), 0
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for ctx.Err() == nil {
		for ; made < int(time.Since(began).Seconds()*float64(rate)); made++ {
			select {
			case due <- struct{}{}:
			default:
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(due)
	workers.Wait()
	return all
}

// keep makes calls over lines, one after the other on each, until ctx ends or each was made so often.
func keep(ctx context.Context, each int, lines []*line) (all []outcome) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	for _, l := range lines {
		workers.Go(func() {
			defer l.hangUp()
			for range each {
				if ctx.Err() != nil {
					return
				}
				a := l.call()
				mu.Lock()
				all = append(all, a)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return all
}

// lines makes n of them.
func lines(n int, g *child, key, tool, arguments string) []*line {
	out := make([]*line, n)
	for i := range out {
		out[i] = newLine(g, key, tool, arguments)
	}
	return out
}

// sorted splits answers by what became of them, and returns how long each took. What is neither served nor refused as it should be
// fails the test.
func sorted(t *testing.T, all []outcome) (served, refused []time.Duration) {
	t.Helper()
	odd := 0
	for _, a := range all {
		switch {
		case a.err == nil && a.status == http.StatusOK:
			served = append(served, a.took)
		case a.err == nil && a.status == http.StatusServiceUnavailable && a.again > 0:
			refused = append(refused, a.took)
		default:
			if odd++; odd < 4 {
				t.Errorf("answered with status %d, Retry-After %d: %v", a.status, a.again, a.err)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(refused)
	return served, refused
}

// quantile returns one of sorted durations; 0 where there are none.
func quantile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
}
