package fault

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"time"
)

// misdeedsOfHTTP are those of the transport.
func misdeedsOfHTTP() []misdeed {
	return append(misdeedsOfStreams(), misdeedsOfHeads()...)
}

func misdeedsOfStreams() []misdeed {
	return []misdeed{
		{name: "a stream without a response", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) { c.events() }},
		{name: "the end in the middle of an event", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.openEvents()
			c.write("data: %s", v.good()[:40])
			_ = c.Close()
		}},
		{name: "a reset in the middle of an event", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.openEvents()
			c.write("data: %s", v.good()[:40])
			c.reset()
		}},
		{name: "an event without end", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) {
			c.openEvents()
			c.write("data: ")
			for range 64 {
				if !c.write("%s", strings.Repeat("x", 16<<10)) {
					break
				}
			}
			_ = c.Close()
		}},
		{name: "comments without end", on: anyHTTP, fate: failed, slow: true, raw: func(_ *victim, c *hostileConn) {
			c.openEvents()
			for c.write(": still here\n\n") {
				time.Sleep(5 * time.Millisecond)
			}
			_ = c.Close()
		}},
		{name: "202 and the answer on the GET stream", on: httpLegacy, fate: answered, raw: func(v *victim, c *hostileConn) {
			c.status("202 Accepted")
			c.onStream(v.good())
		}},
		{name: "the answer on both streams", on: httpLegacy, fate: answered, raw: func(v *victim, c *hostileConn) {
			c.onStream(v.respond(v.neighbour(1), "poison"))
			c.events(v.good())
			c.onStream(v.respond(v.id, "poison"))
		}},
		{name: "202 and nothing", on: httpModern, fate: failed, raw: func(_ *victim, c *hostileConn) { c.status("202 Accepted") }},
		{name: "a stream of other things", on: anyHTTP, fate: answered, raw: func(v *victim, c *hostileConn) {
			c.openEvents()
			c.write("\xef\xbb\xbf: x\r\nevent: ping\ndata: poison\n\nid\nretry: x\ndata\n\nevent: message\rdata:%s\r\r", v.good())
			_ = c.Close()
		}},
	}
}

func misdeedsOfHeads() []misdeed {
	return []misdeed{
		{name: "a reset in the middle of the body", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n%s", v.good()[:40])
			c.reset()
		}},
		{name: "a body shorter than its length", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n%s", v.good())
			_ = c.Close()
		}},
		{name: "a wrong content type", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(v.respond(v.id, "poison")), v.respond(v.id, "poison"))
		}},
		{name: "a huge header", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nX-Much: %s\r\n\r\n", strings.Repeat("x", 2<<20))
			_ = c.Close()
		}},
		{name: "interim answers without end", on: anyHTTP, fate: failed, slow: true, raw: func(_ *victim, c *hostileConn) {
			for c.write("HTTP/1.1 102 Processing\r\n\r\n") {
				time.Sleep(time.Millisecond)
			}
			_ = c.Close()
		}},
		{name: "another session id", on: httpLegacy, fate: answered, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: other-%s\r\nContent-Length: %d\r\n\r\n%s", v.nonce, len(v.good()), v.good())
		}},
		{name: "a redirect", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://%s/elsewhere\r\nContent-Length: 0\r\n\r\n", c.LocalAddr())
		}},
		{name: "200 and an empty body", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")
		}},
		{name: "a compressed body", on: anyHTTP, fate: either, raw: func(v *victim, c *hostileConn) {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write([]byte(v.good()))
			_ = z.Close()
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.Bytes())
		}},
		{name: "two messages in a body", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.json(v.respond(v.id, "poison") + "\n" + v.respond(v.id, "poison"))
		}},
		{name: "a result with status 500", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			text := v.respond(v.id, "poison")
			c.write("HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		}},
		{name: "401 and a challenge", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=%q\r\nContent-Length: 0\r\n\r\n", v.poison())
		}},
		{name: "404 to each call", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) { c.status("404 Not Found") }},
		{name: "what is not HTTP", on: anyHTTP, fate: failed, raw: func(_ *victim, c *hostileConn) {
			c.write("SSH-2.0-OpenSSH_9.2\r\n")
			_ = c.Close()
		}},
		{name: "a chunk of impossible size", on: anyHTTP, fate: failed, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n%s", v.respond(v.id, "poison"))
			_ = c.Close()
		}},
		{name: "a length and chunks", on: anyHTTP, fate: either, raw: func(v *victim, c *hostileConn) {
			text := v.good()
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
		}},
		{name: "a second answer on the connection", on: anyHTTP, fate: answered, raw: func(v *victim, c *hostileConn) {
			next := v.respond(v.neighbour(1), "poison")
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"+
				"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(v.good()), v.good(), len(next), next)
		}},
		{name: "more bytes than it said", on: anyHTTP, fate: answered, raw: func(v *victim, c *hostileConn) {
			c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s", len(v.good()), v.good(), fmt.Sprint("x", v.poison()))
		}},
	}
}
