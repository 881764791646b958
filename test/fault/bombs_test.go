package fault

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A bomb is an answer that is much larger than it looks, or than anybody needs.
type bomb struct {
	name string
	// send sends it, and ends when it is no longer taken.
	send func(v *victim, c *hostileConn)
}

const (
	bombSize = 1 << 30 // of what is not compressed
	inflated = 10 << 30
)

// pour writes a block again and again until so much was sent, or is not taken any more.
func (c *hostileConn) pour(block []byte, size int64, sent *atomic.Int64) {
	for left := size; left > 0; left -= int64(len(block)) {
		n, err := c.Write(block)
		sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// zeros is a part of a gzip stream that inflates to a MiB, and how many parts make the whole.
func zeros() (part []byte, parts int) {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close() // members of gzip can follow each other
	return out.Bytes(), inflated >> 20
}

func bombs(sent *atomic.Int64) []bomb {
	letters := bytes.Repeat([]byte("x"), 64<<10)
	gz, parts := zeros()
	return []bomb{
		{"gzip", func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", len(gz)*parts)
			c.pour(gz, int64(len(gz)*parts), sent)
		}},
		{"gzip in events", func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
			c.pour(gz, int64(len(gz)*parts), sent)
		}},
		{"one line of events", func(_ *victim, c *hostileConn) {
			c.openEvents()
			c.write("data: ")
			c.pour(letters, bombSize, sent)
		}},
		{"one event of many lines", func(_ *victim, c *hostileConn) {
			c.openEvents()
			c.pour(bytes.Repeat([]byte("data: xxxxxxxxxxxxxxxxxxxxxxxxx\n"), 2048), bombSize, sent)
		}},
		{"comments without end", func(_ *victim, c *hostileConn) {
			c.openEvents()
			c.write(": ")
			c.pour(letters, bombSize, sent)
		}},
		{"a body that says its size", func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", bombSize)
			c.pour(letters, bombSize, sent)
		}},
		{"a body without a size", func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
			c.pour(letters, bombSize, sent)
		}},
		{"headers without end", func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\n")
			c.pour([]byte("A: "+strings.Repeat("b", 8<<10)+"\r\n"), bombSize, sent)
		}},
	}
}

// mostTaken is how much of a bomb the gateway may take in, beside what the system buffers: the limit of a result.
const mostTaken = 64 << 20

// TestT14_Bombs lets an upstream answer with bombs. Each call ends with an error, and neither the memory of the gateway nor
// what it reads grows with the bomb.
func TestT14_Bombs(t *testing.T) {
	runs := times(1, 20)
	var sent atomic.Int64
	row := &Row{
		ID: "T14", What: "bombs in answers (10 GiB of gzip, 1 GiB lines, bodies, headers): an error, and bounded memory",
		Count: fmt.Sprintf("%d bombs × %d for each client's era", len(bombs(&sent)), runs),
	}
	enter(t, row)
	var growth, inflating int64
	var slowest time.Duration
	for _, b := range bombs(&sent) {
		t.Run(b.name, func(t *testing.T) {
			evil := serveHostile(t, &misdeed{raw: b.send}, true)
			g := spawn(t, "bounds: {result: 4MiB}\nupstreams:\n"+upstreamEntry("evil", "modern", evil.url(), nil))
			for _, modern := range []bool{true, false} {
				c := newClient(t, g.url, modern, "{}")
				before := g.memory(t, "VmRSS")
				for range runs {
					sent.Store(0)
					began := time.Now()
					_, all, err := c.call(t.Context(), "evil__hostile", `"arguments":{"nonce":"n"}`, "", nil)
					slowest = max(slowest, time.Since(began))
					if err != nil || len(all) != 1 || all[0].Error == nil {
						t.Fatalf("%.500s %v", texts(all), err)
					}
					if n := sent.Load(); n > mostTaken {
						t.Errorf("%d bytes were taken", n)
					}
				}
				grown := g.memory(t, "VmHWM") - before
				if growth = max(growth, grown); strings.HasPrefix(b.name, "gzip") {
					inflating = max(inflating, grown)
				}
			}
		})
	}
	if growth > 96<<20*memoryOfRaces {
		t.Errorf("memory grew by %d MiB", growth>>20)
	}
	row.Figures = fmt.Sprintf("memory grew by at most %d MiB with gzip and %d MiB with others; slowest error after %v", inflating>>20, growth>>20,
		slowest.Round(time.Millisecond))
	if *full && (inflating > 32<<20 || slowest > time.Second) {
		t.Errorf("what is promised is 32 MiB with gzip, and a second: %s", row.Figures)
	}
}

// TestT14_Requests sends requests that are too large or coded: they are refused before they are read.
func TestT14_Requests(t *testing.T) {
	leakless(t)
	fine := serveHostile(t, &misdeed{}, true)
	g := startGateway(t, "upstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	for name, tt := range map[string]struct {
		head   string
		sent   int // bytes of the body, of 5 MiB
		status int
	}{
		"too large by its length": {"Content-Length: 5242880\r\n", 0, http.StatusRequestEntityTooLarge},
		"too large in chunks":     {"Transfer-Encoding: chunked\r\n", 4<<20 + 64<<10, http.StatusRequestEntityTooLarge},
		"gzip":                    {"Content-Length: 100\r\nContent-Encoding: gzip\r\n", 0, http.StatusUnsupportedMediaType},
		"br":                      {"Content-Length: 100\r\nContent-Encoding: br\r\n", 0, http.StatusUnsupportedMediaType},
		"gzip in gzip":            {"Content-Length: 100\r\nContent-Encoding: gzip, gzip\r\n", 0, http.StatusUnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refusedEarly(t, g.Addr(), tt.head, tt.sent); got != tt.status {
				t.Errorf("HTTP status %d, want %d", got, tt.status)
			}
		})
	}
}

// refusedEarly sends a part of a request, and returns the status that it is answered with before there is more.
func refusedEarly(t *testing.T, addr, head string, body int) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s\r\n", head); err != nil {
		t.Fatal(err)
	}
	for ; body > 0; body -= 32 << 10 {
		if _, err := fmt.Fprintf(conn, "8000\r\n%s\r\n", strings.Repeat(" ", 32<<10)); err != nil {
			break // it hung up, having said why
		}
	}
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil {
		t.Fatal(err)
	}
	var status int
	if _, err := fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	return status
}
