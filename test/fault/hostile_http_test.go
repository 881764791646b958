package fault

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostileHTTP is a hostile upstream on HTTP/1.1, without net/http toward the gateway.
type hostileHTTP struct {
	deed     *misdeed
	modern   bool
	listener net.Listener
	work     sync.WaitGroup
	sessions atomic.Int64
	strayed  atomic.Int64 // requests of a session that was never opened
	// handle, unless nil, answers before handshake does.
	handle func(r *request, c *hostileConn) bool

	mu      sync.Mutex
	conns   map[net.Conn]bool
	streams map[string]*hostileConn // open GET streams by session
}

// hostileConn is one connection. One goroutine reads requests from it, and answers them one after the other.
type hostileConn struct {
	net.Conn
	server  *hostileHTTP
	session string

	mu sync.Mutex // held to write an event of a GET stream
}

func serveHostile(t *testing.T, deed *misdeed, modern bool) *hostileHTTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &hostileHTTP{deed: deed, modern: modern, listener: l, conns: map[net.Conn]bool{}, streams: map[string]*hostileConn{}}
	s.work.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.work.Wait()
	})
	return s
}

func (s *hostileHTTP) url() string { return "http://" + s.listener.Addr().String() + "/mcp" }

func (s *hostileHTTP) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.work.Go(func() {
			c := &hostileConn{Conn: conn, server: s}
			c.serve()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// serve answers requests until the connection ends.
func (c *hostileConn) serve() {
	in := bufio.NewReader(c.Conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		c.session = req.Header.Get("Mcp-Session-Id")
		switch req.Method {
		case http.MethodPost:
			c.post(body)
		case http.MethodGet:
			c.stream(in)
			return
		default:
			c.status("204 No Content")
		}
	}
}

func (c *hostileConn) post(body []byte) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		c.status("400 Bad Request")
		return
	}
	s := c.server
	if s.handle != nil && s.handle(&r, c) {
		return
	}
	if c.session != "" && !strings.HasPrefix(c.session, "hostile-") {
		s.strayed.Add(1)
	}
	answer := handshake(&r, s.deed, s.modern)
	switch {
	case r.Method == "initialize" && !s.modern:
		c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: hostile-%d\r\nContent-Length: %d\r\n\r\n%s",
			s.sessions.Add(1), len(answer), answer)
	case answer != "":
		c.json(answer)
	case r.Method != "tools/call":
		c.status("202 Accepted")
	default:
		v := &victim{string(r.ID), r.Params.Arguments.Nonce, s.modern}
		if s.deed.raw != nil {
			s.deed.raw(v, c)
			return
		}
		c.events(s.deed.say(v)...)
	}
}

// stream is a GET stream: it stays open until the gateway leaves.
func (c *hostileConn) stream(in io.Reader) {
	if c.server.modern {
		c.status("405 Method Not Allowed")
		return
	}
	c.mu.Lock()
	c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: open\n\n")
	c.mu.Unlock()
	s := c.server
	s.mu.Lock()
	s.streams[c.session] = c
	s.mu.Unlock()
	_, _ = io.Copy(io.Discard, in)
	s.mu.Lock()
	delete(s.streams, c.session)
	s.mu.Unlock()
}

// onStream writes a message as an event of the session's GET stream, which may still be on its way.
func (c *hostileConn) onStream(text string) {
	for range 2000 {
		c.server.mu.Lock()
		to := c.server.streams[c.session]
		c.server.mu.Unlock()
		if to != nil {
			to.mu.Lock()
			to.write("data: %s\n\n", text)
			to.mu.Unlock()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// write writes bytes; a gateway that has gone away needs none.
func (c *hostileConn) write(format string, args ...any) bool {
	_, err := fmt.Fprintf(c.Conn, format, args...)
	return err == nil
}

func (c *hostileConn) status(line string) { c.write("HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", line) }

func (c *hostileConn) json(text string) {
	c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

// openEvents begins an event stream that ends with the connection.
func (c *hostileConn) openEvents() {
	c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
}

// events answers by a stream of messages.
func (c *hostileConn) events(messages ...string) {
	c.openEvents()
	for _, m := range messages {
		if !c.write("data: %s\n\n", m) {
			break
		}
	}
	_ = c.Close()
}

// reset ends the connection without a word.
func (c *hostileConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
