package upstream_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

const (
	ok200   = "HTTP/1.1 200 OK\r\n"
	chunked = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
)

// answers are responses as bytes, and what the client makes of them.
var answers = []struct {
	name, raw string
	method    string // POST if empty
	status    int
	body      string
	err       error // from Do or from reading the body
	eof       bool  // the server closes the connection behind the answer
	again     bool  // the connection serves the next request
}{
	{name: "length", raw: ok200 + "Content-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "length of zero", raw: ok200 + "Content-Length: 0\r\n\r\n", status: 200, again: true},
	{name: "length in any case and with spaces", raw: ok200 + "cOnTeNt-lEnGtH: \t 2 \t\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "no reason", raw: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", status: 200, again: true},
	{name: "no space before no reason", raw: "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", status: 404, again: true},
	{name: "error status with body", raw: "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}", status: 400, body: "{}", again: true},
	{name: "redirect is not followed", raw: "HTTP/1.1 307 Temporary Redirect\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", status: 307, again: true},
	{name: "connection close", raw: ok200 + "Connection: close\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
	{name: "connection close among others", raw: ok200 + "Connection: foo, CLOSE\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
	{name: "connection keep-alive", raw: ok200 + "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "absurd keep-alive", raw: ok200 + "Keep-Alive: timeout=999999999999, timeout=x, timeout\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
	{name: "HTTP/1.0 keep-alive is not trusted", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
	{name: "until close", raw: ok200 + "\r\nall of it", status: 200, body: "all of it", eof: true},
	{name: "until close, HTTP/1.0", raw: "HTTP/1.0 200 OK\r\n\r\nall of it", status: 200, body: "all of it", eof: true},
	{name: "until close, empty", raw: ok200 + "\r\n", status: 200, eof: true},
	{name: "204", raw: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, again: true},
	{name: "204 with length zero", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status: 204, again: true},
	{name: "204 with length", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", status: 204},
	{name: "204 chunked", raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", status: 204},
	{name: "304 with length", raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, again: true},
	{name: "HEAD", method: "HEAD", raw: ok200 + "Content-Length: 5\r\n\r\n", status: 200, again: true},
	{name: "HEAD chunked", method: "HEAD", raw: ok200 + "Transfer-Encoding: chunked\r\n\r\n", status: 200, again: true},
	{name: "100 first", raw: "HTTP/1.1 100 Continue\r\n\r\n" + ok200 + "Content-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "103 and 102 first", raw: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok200 + "Content-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "too many 1xx", raw: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + ok200 + "Content-Length: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "101", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", err: upstream.ErrMalformed},
	{name: "identity coding", raw: ok200 + "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},

	{name: "chunks", raw: chunked + "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", status: 200, body: "abcde", again: true},
	{name: "chunks, TE in any case", raw: ok200 + "transfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", status: 200, body: "a", again: true},
	{name: "no chunks", raw: chunked + "0\r\n\r\n", status: 200, again: true},
	{name: "chunk sizes in hex", raw: chunked + "000A\r\n0123456789\r\nb\r\n0123456789a\r\n00\r\n\r\n", status: 200, body: "01234567890123456789a", again: true},
	{name: "chunk extensions", raw: chunked + "1;a=b;c=\"d e\"\r\na\r\n0;x\r\n\r\n", status: 200, body: "a", again: true},
	{name: "trailers", raw: chunked + "1\r\na\r\n0\r\nX-A: 1\r\nX-B:\r\n\r\n", status: 200, body: "a", again: true},
	{name: "big chunk", raw: chunked + "4e20\r\n" + strings.Repeat("x", 20_000) + "\r\n0\r\n\r\n", status: 200, body: strings.Repeat("x", 20_000), again: true},
	{name: "many small chunks", raw: chunked + strings.Repeat("1\r\nx\r\n", 5000) + "0\r\n\r\n", status: 200, body: strings.Repeat("x", 5000), again: true},
	{name: "chunk data looks like a chunk", raw: chunked + "7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", status: 200, body: "0\r\n\r\n0\r", again: true},

	{name: "nothing", raw: "", eof: true, err: io.EOF},
	{name: "cut in the status line", raw: "HTTP/1.1 2", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut in the header", raw: ok200 + "Content-Le", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut behind 100", raw: "HTTP/1.1 100 Continue\r\n\r\n", eof: true, err: io.EOF},
	{name: "cut in the body", raw: ok200 + "Content-Length: 5\r\n\r\nok", status: 200, body: "ok", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut in a chunk size", raw: chunked + "5", status: 200, eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut in a chunk", raw: chunked + "5\r\nabc", status: 200, body: "abc", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut behind a chunk", raw: chunked + "3\r\nabc", status: 200, body: "abc", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut before the last chunk", raw: chunked + "3\r\nabc\r\n", status: 200, body: "abc", eof: true, err: io.ErrUnexpectedEOF},
	{name: "cut in the trailer", raw: chunked + "3\r\nabc\r\n0\r\n", status: 200, body: "abc", eof: true, err: io.ErrUnexpectedEOF},

	{name: "HTTP/0.9", raw: "<html>hello", err: upstream.ErrMalformed},
	{name: "HTTP/2", raw: "HTTP/2.0 200 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "HTTP/1.2", raw: "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "lower-case version", raw: "http/1.1 200 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "TLS alert", raw: "\x15\x03\x01\x00\x02\x02\x46", err: upstream.ErrMalformed},
	{name: "empty line first", raw: "\r\n" + ok200 + "\r\n", err: upstream.ErrMalformed},
	{name: "two spaces", raw: "HTTP/1.1  200 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "status of two digits", raw: "HTTP/1.1 20 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "status of four digits", raw: "HTTP/1.1 2000 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "status below 100", raw: "HTTP/1.1 099 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "status above 599", raw: "HTTP/1.1 600 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "status with sign", raw: "HTTP/1.1 +20 OK\r\n\r\n", err: upstream.ErrMalformed},
	{name: "reason with control characters", raw: "HTTP/1.1 200 O\x00K\r\n\r\n", err: upstream.ErrMalformed},
	{name: "bare LF", raw: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", err: upstream.ErrMalformed},
	{name: "bare LF in the header", raw: ok200 + "A: b\nContent-Length: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "bare CR", raw: ok200 + "A: b\rContent-Length: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "folded line", raw: ok200 + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "folded first line", raw: ok200 + " A: b\r\nContent-Length: 0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "space before the colon", raw: ok200 + "Content-Length : 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "no colon", raw: ok200 + "Content-Length 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "empty name", raw: ok200 + ": 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "name with a separator", raw: ok200 + "A(b): 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "name beyond ASCII", raw: ok200 + "É: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "NUL in a value", raw: ok200 + "A: b\x00c\r\nContent-Length: 0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "value beyond ASCII", raw: ok200 + "A: é\xff\r\nContent-Length: 0\r\n\r\n", status: 200, again: true},
	{name: "two lengths", raw: ok200 + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", err: upstream.ErrMalformed},
	{name: "two equal lengths", raw: ok200 + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "list of lengths", raw: ok200 + "Content-Length: 2, 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "negative length", raw: ok200 + "Content-Length: -2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "signed length", raw: ok200 + "Content-Length: +2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "empty length", raw: ok200 + "Content-Length:\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "length in hex", raw: ok200 + "Content-Length: 0x2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "length beyond 64 bits", raw: ok200 + "Content-Length: 18446744073709551618\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "length and chunked", raw: ok200 + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "chunked and length", raw: ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "chunked twice", raw: ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "chunked, chunked", raw: ok200 + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "gzip, chunked", raw: ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "transfer coding identity", raw: ok200 + "Transfer-Encoding: identity\r\n\r\n", err: upstream.ErrMalformed},
	{name: "transfer coding with garbage", raw: ok200 + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "chunked in HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: upstream.ErrMalformed},
	{name: "gzip", raw: ok200 + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", err: upstream.ErrMalformed},
	{name: "header too large", raw: ok200 + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 40) + "\r\n", err: upstream.ErrTooLarge},
	{name: "header line too large", raw: ok200 + "A: " + strings.Repeat("b", 40_000) + "\r\n\r\n", err: upstream.ErrTooLarge},
	{name: "header almost too large", raw: ok200 + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 32) + "Content-Length: 2\r\n\r\nok", status: 200, body: "ok", again: true},
	{name: "interim headers too large together", raw: strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: "+strings.Repeat("b", 9000)+"\r\n\r\n", 4) + ok200 + "\r\n", err: upstream.ErrTooLarge},

	{name: "chunk size missing", raw: chunked + "\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size is no hex", raw: chunked + "g\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size with 0x", raw: chunked + "0x1\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size with sign", raw: chunked + "+1\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size with space", raw: chunked + "1 \r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size too long", raw: chunked + "0000000000000001\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk size with bare LF", raw: chunked + "1\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk longer than its size", raw: chunked + "1\r\nab\r\n0\r\n\r\n", status: 200, body: "a", err: upstream.ErrMalformed},
	{name: "chunk end with bare LF", raw: chunked + "1\r\na\n0\r\n\r\n", status: 200, body: "a", err: upstream.ErrMalformed},
	{name: "chunk end with CR CR", raw: chunked + "1\r\na\r\r0\r\n\r\n", status: 200, body: "a", err: upstream.ErrMalformed},
	{name: "chunk extension too long", raw: chunked + "1;" + strings.Repeat("x", 300) + "\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "chunk extension with LF", raw: chunked + "1;x\ny\r\na\r\n0\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "trailer too long", raw: chunked + "0\r\n" + strings.Repeat("A: b\r\n", 2000) + "\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "trailer without colon", raw: chunked + "0\r\nabc\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "trailer without name", raw: chunked + "0\r\n: abc\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "trailer folded", raw: chunked + "0\r\nA: b\r\n c\r\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "trailer with bare LF", raw: chunked + "0\r\nA: b\n\r\n", status: 200, err: upstream.ErrMalformed},
	{name: "end with bare LF", raw: chunked + "0\r\n\n", status: 200, err: upstream.ErrMalformed},
}

// outcome is what a call came to.
type outcome struct {
	status int
	body   string
	err    error
}

func call(tb testing.TB, c *upstream.Client, req *upstream.Request) (o outcome) {
	tb.Helper()
	resp, err := c.Do(tb.Context(), req)
	if err != nil {
		return outcome{err: err}
	}
	body, err := resp.ReadAll(nil, 1<<20)
	return outcome{status: resp.Status, body: string(body), err: err}
}

// callLent is call that has the body lent.
func callLent(tb testing.TB, c *upstream.Client, req *upstream.Request) (o outcome) {
	tb.Helper()
	resp, err := c.Do(tb.Context(), req)
	if err != nil {
		return outcome{err: err}
	}
	o.status = resp.Status
	body := resp.Lent().(frame.Lender)
	for {
		p, err := body.Lend()
		if err != nil && len(p) > 0 {
			tb.Errorf("lent %d bytes beside %v", len(p), err)
		}
		o.body += string(p)
		if err != nil {
			if _, again := body.Lend(); again != err { //nolint:errorlint // it is the same one
				tb.Errorf("%v, then %v", err, again)
			}
			if err != io.EOF { //nolint:errorlint // it is returned itself
				o.err = err
			}
			return o
		}
		for i := range p {
			p[i] = '#' // which the borrower may
		}
	}
}

// choosy takes two pieces of three that are pushed, and wants no more now and then.
type choosy struct {
	body string
	n    int
}

func (c *choosy) Take(p []byte) (took, more bool) {
	if c.n++; c.n%3 == 0 {
		return false, false
	}
	c.body += string(p)
	for i := range p {
		p[i] = '#' // which it may
	}
	return true, c.n%5 > 0
}

// callPushed is call that has the body pushed as far as that goes, and what is left lent.
func callPushed(tb testing.TB, c *upstream.Client, req *upstream.Request) (o outcome) {
	tb.Helper()
	resp, err := c.Do(tb.Context(), req)
	if err != nil {
		return outcome{err: err}
	}
	o.status = resp.Status
	taker := &choosy{}
	for {
		resp.Push(taker)
		p, err := resp.Lent().(frame.Lender).Lend()
		taker.body += string(p)
		if err != nil {
			resp.Push(taker)
			o.body = taker.body
			if err != io.EOF { //nolint:errorlint // it is returned itself
				o.err = err
			}
			return o
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conns := make(chan int, 4)
			url := serve(t, func(p *peer) {
				conns <- p.n
				for {
					if _, _, ok := p.request(); !ok {
						return
					}
					p.send(tt.raw)
					if tt.eof {
						return
					}
				}
			})
			c := newClient(t, upstream.ClientConfig{})
			req := post(t, url, "{}")
			if tt.method != "" {
				req.Method, req.Body = tt.method, nil
			}
			for _, how := range []func(testing.TB, *upstream.Client, *upstream.Request) outcome{call, callLent, callPushed} {
				got := how(t, c, req)
				if got.status != tt.status || got.body != tt.body || !errors.Is(got.err, tt.err) {
					t.Errorf("got %d %.80q %v, want %d %.80q %v", got.status, got.body, got.err, tt.status, tt.body, tt.err)
				}
				if failed := new(upstream.ExchangeError); got.err != nil && (!errors.As(got.err, &failed) || !failed.Sent) {
					t.Errorf("error %#v does not say that the request was sent", got.err)
				}
			}
			if again := len(conns) == 1; again != tt.again {
				t.Errorf("%d connections for three calls, want reuse: %v", len(conns), tt.again)
			}
		})
	}
}

// The same answers, arriving in small pieces and pushed.
func TestAnswersInPiecesArePushed(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		if len(tt.raw) > 500 {
			continue // it would take long
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 3, 7} {
				url := serve(t, func(p *peer) {
					if _, _, ok := p.request(); !ok {
						return
					}
					for left := tt.raw; left != ""; time.Sleep(50 * time.Microsecond) { // not all of it arrives together
						n := min(size, len(left))
						p.send(left[:n])
						left = left[n:]
					}
					if !tt.eof {
						p.request()
					}
				})
				req := post(t, url, "{}")
				if tt.method != "" {
					req.Method, req.Body = tt.method, nil
				}
				got := callPushed(t, newClient(t, upstream.ClientConfig{}), req)
				if got.status != tt.status || got.body != tt.body || !errors.Is(got.err, tt.err) {
					t.Errorf("pieces of %d: got %d %.80q %v, want %d %.80q %v", size, got.status, got.body, got.err, tt.status, tt.body, tt.err)
				}
			}
		})
	}
}

// The same answers, arriving in small pieces over a connection that the system does not know.
func TestAnswersInPieces(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 3, 7, 4096} {
				dial, count := dialing(func() net.Conn { return newScript(tt.raw, size, tt.eof) })
				c := newClient(t, upstream.ClientConfig{DialContext: dial})
				req := post(t, "http://test/", "{}")
				if tt.method != "" {
					req.Method, req.Body = tt.method, nil
				}
				for range 2 {
					got := call(t, c, req)
					if got.status != tt.status || got.body != tt.body || !errors.Is(got.err, tt.err) {
						t.Errorf("pieces of %d: got %d %.80q %v, want %d %.80q %v", size, got.status, got.body, got.err, tt.status, tt.body, tt.err)
					}
				}
				if again := *count == 1; again != tt.again {
					t.Errorf("pieces of %d: %d connections", size, *count)
				}
			}
		})
	}
}

// Whatever the client accepts, net/http accepts too and reads alike: being stricter is its right, being different is not.
func TestAnswersAgreeWithNetHTTP(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		if tt.err != nil {
			continue
		}
		got, err := judge(tt.method, tt.raw)
		if err != nil || got.status != tt.status || got.body != tt.body {
			t.Errorf("%s: net/http reads %d %.80q %v", tt.name, got.status, got.body, err)
		}
	}
}

// judge reads an answer with net/http, skipping interim ones.
func judge(method, raw string) (outcome, error) {
	r := bufio.NewReader(strings.NewReader(raw))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return outcome{}, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return outcome{}, err
		}
		if resp.StatusCode >= 200 {
			return outcome{status: resp.StatusCode, body: string(body)}, nil
		}
	}
}

// kind is the sentinel that an error matches.
func kind(err error) error {
	for _, k := range []error{upstream.ErrMalformed, upstream.ErrTooLarge, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

func FuzzAnswer(f *testing.F) {
	for _, tt := range answers {
		if len(tt.raw) < 4096 {
			f.Add(tt.raw, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, raw string, size uint8) {
		read := func(size int) (o outcome) {
			dial, _ := dialing(func() net.Conn { return newScript(raw, size, true) })
			return call(t, newClient(t, upstream.ClientConfig{DialContext: dial}), post(t, "http://test/", "{}"))
		}
		whole, pieces := read(len(raw)+1), read(int(size)+1)
		if whole.status != pieces.status || whole.body != pieces.body || kind(whole.err) != kind(pieces.err) {
			t.Fatalf("whole %+v, in pieces of %d %+v", whole, int(size)+1, pieces)
		}
		if whole.err != nil {
			return
		}
		want, err := judge("POST", raw)
		if err != nil || want != whole {
			t.Fatalf("got %d %q, net/http reads %d %q, %v", whole.status, whole.body, want.status, want.body, err)
		}
	})
}
