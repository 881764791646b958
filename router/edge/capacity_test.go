package edge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
)

// Calls of all clients together are bounded, of both eras and also on connections that
// carry many. What has ended makes room, however it ended.
func TestCallsInFlightAreBoundedInAll(t *testing.T) {
	t.Parallel()
	calls := make(chan *running, 8)
	g := open(t, setup{handle: held(calls), edge: edge.Config{Capacity: 3}})
	bearer := g.session()
	body, header := modern("1", "x/y", "")
	abandon, abandoned := g.start(body, header...)
	gone := <-calls
	_, second := g.start(request("2", "x/y"), bearer...)
	socket := g.socket()
	socket.say(modernly("1", "x/y"))
	held := []*running{<-calls, <-calls}

	overloaded := func(status int, header http.Header, text string) {
		t.Helper()
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" || codeOf(t, text) != 116 {
			t.Errorf("one call too many: %d %v %s", status, header, text)
		}
	}
	a := g.do("POST", body, header...)
	overloaded(a.status, a.header, a.body)
	a = g.do("POST", request("3", "x/y"), bearer...)
	overloaded(a.status, a.header, a.body)
	socket.say(modernly("4", "x/y"))
	if got := socket.hear(); codeOf(t, got) != 116 {
		t.Errorf("on a connection of many: %s", got)
	}

	abandon()
	<-abandoned
	<-gone.ctx.Done()
	for _, call := range held {
		call.messages <- result(`{}`)
	}
	if a := <-second; a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := socket.hear(); !strings.Contains(got, `"result"`) {
		t.Errorf("%s", got)
	}
	var last []func()
	for len(last) < 3 { // a call makes room once its reply is closed, which is after its answer
		_, answered := g.start(body, header...)
		select {
		case call := <-calls:
			last = append(last, func() {
				call.messages <- result(`{}`)
				<-answered
			})
		case a := <-answered:
			overloaded(a.status, a.header, a.body)
		}
	}
	a = g.do("POST", body, header...)
	overloaded(a.status, a.header, a.body)
	for _, finish := range last {
		finish()
	}
}

// A handler that panics does not keep its place.
func TestPanicsKeepNoPlace(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{Capacity: 1}, handle: func(context.Context, *rpc.Call) (*rpc.Reply, error) { panic("on purpose") }})
	body, header := modern("1", "x/y", "")
	for range 3 {
		if a := g.do("POST", body, header...); codeOf(t, a.body) != -32603 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// Connections that carry many messages are bounded together, and one that has ended makes room.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{Connections: 2}})
	first := g.socket()
	g.older("/sse")
	for range 3 {
		conn, res, err := g.tryDial()
		if err == nil {
			_ = conn.Close()
			t.Fatal("a connection too many")
		}
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" {
			t.Errorf("a WebSocket too many: %s %v", res.Status, res.Header)
		}
		if a := g.do("GET", "", "Path", "/sse"); a.status != http.StatusServiceUnavailable {
			t.Errorf("HTTP+SSE too many: %d %s", a.status, a.body)
		}
	}
	_ = first.conn.Close()
	for {
		conn, _, err := g.tryDial()
		if err == nil {
			_ = conn.Close()
			return
		}
	}
}
