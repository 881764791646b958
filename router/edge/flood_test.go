package edge_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113 §6), as no library sends them.
const (
	headersFrame      = 0x1
	resetFrame        = 0x3
	settingsFrame     = 0x4
	pingFrame         = 0x6
	continuationFrame = 0x9
	ack               = 0x1
	endHeaders        = 0x4
)

func frameOf(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	head = append(head, kind, flags)
	head = binary.BigEndian.AppendUint32(head, stream)
	return append(head, payload...)
}

// postHead is the head of a request in HPACK without compression (RFC 7541): a POST
// that has yet to send its body.
func postHead(authority string) []byte {
	literal := func(index byte, value string) []byte { return append([]byte{index, byte(len(value))}, value...) }
	out := []byte{0x83, 0x87}                      // :method POST, :scheme https
	out = append(out, literal(0x04, "/mcp")...)    // :path
	out = append(out, literal(0x01, authority)...) // :authority
	out = append(out, literal(0x0f, "")[:1]...)
	return append(out, literal(0x10, "application/json")...) // content-type, by its long index
}

// attacker is a connection of HTTP/2 that plays by no rules.
type attacker struct {
	conn  net.Conn
	pongs chan struct{} // closed when the server hung up
}

func attack(t *testing.T, addr string, roots *x509.CertPool) *attacker {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{conn, make(chan struct{}, 1)}
	go a.listen()
	a.write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameOf(settingsFrame, 0, 0, nil)...))
	return a
}

// listen reads what comes, and looks for answers to pings only.
func (a *attacker) listen() {
	defer close(a.pongs)
	defer a.conn.Close()
	in := bufio.NewReader(a.conn)
	for {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head[:4]) >> 8
		if _, err := in.Discard(int(size)); err != nil {
			return
		}
		if head[3] == pingFrame && head[4]&ack != 0 {
			a.pongs <- struct{}{}
		}
	}
}

// write reports whether the server still listens.
func (a *attacker) write(p []byte) bool {
	_, err := a.conn.Write(p)
	return err == nil
}

// ping waits until the server has read all that was written, and reports whether it
// still listens.
func (a *attacker) ping() bool {
	if !a.write(frameOf(pingFrame, 0, 0, make([]byte, 8))) {
		return false
	}
	_, ok := <-a.pongs
	return ok
}

func (a *attacker) end() {
	_ = a.conn.Close()
	for range a.pongs {
	}
}

// cost is what the process holds.
func cost() (goroutines int, heap uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc + m.StackInuse
}

// Requests that are taken back as soon as they are made cost their connection, and
// neither memory nor anybody else. Not parallel: it counts what the process holds.
func TestT12_RapidResetsLeaveNothing(t *testing.T) {
	var arrived atomic.Int64
	g, roots := overTLS(t, setup{}, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			arrived.Add(1)
			h.ServeHTTP(w, r)
		})
	})
	if a := g.do("POST", hello); a.status != http.StatusOK {
		t.Fatalf("before: %d %s", a.status, a.body)
	}
	goroutines, heap := cost()
	const resets = 20_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		flood(t, g.addr, roots, resets)
	}()
	served := 0
	for flooding := true; flooding; served++ {
		if a := g.do("POST", hello); a.status != http.StatusOK {
			t.Fatalf("during the flood: %d %s", a.status, a.body)
		}
		select {
		case <-done:
			flooding = false
		default:
		}
	}
	reached := arrived.Load() - int64(served)
	t.Logf("%d requests were served beside %d that were reset, of which %d had reached the gateway", served, resets, reached)
	if reached < resets/20 {
		t.Error("too few for a flood")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		now, held := cost()
		if now <= goroutines+2 && held <= heap+8<<20 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d bytes are left, of %d and %d before", now, held, goroutines, heap)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`

// flood makes requests and takes them back, with a new connection whenever the server
// has enough of one.
func flood(t *testing.T, addr string, roots *x509.CertPool, resets int) {
	head := postHead("localhost")
	for resets > 0 {
		a := attack(t, addr, roots)
		for stream, ok := uint32(1), true; ok && resets > 0; stream += 2 {
			ok = a.write(append(frameOf(headersFrame, endHeaders, stream, head), frameOf(resetFrame, 0, stream, []byte{0, 0, 0, 8})...))
			if resets--; resets%50 == 0 {
				ok = ok && a.ping()
			}
		}
		a.end()
	}
}

// A head without an end is cut off at its bound (RFC 9113 §10.5.1).
func TestT12_EndlessHeadsAreCutOff(t *testing.T) {
	t.Parallel()
	g, roots := overTLS(t, setup{}, func(h http.Handler) http.Handler { return h })
	a := attack(t, g.addr, roots)
	defer a.end()
	sent, part := 0, make([]byte, 0, 16<<10)
	for len(part) < cap(part)-16 { // fields without compression, of a byte each
		part = append(part, 0x00, 0x01, 'x', 0x01, 'y')
	}
	ok := a.write(frameOf(headersFrame, 0, 1, postHead("localhost")))
	for ok && sent < 16<<20 {
		ok = a.write(frameOf(continuationFrame, 0, 1, part))
		sent += len(part)
	}
	if ok {
		t.Errorf("%d bytes of a head were taken", sent)
	}
	if a := g.do("POST", hello); a.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}
