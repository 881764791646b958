package edge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

// cut feeds a stream in pieces of n bytes and returns the fault.
func cut(stream []byte, n int) string {
	var c cutter
	for len(stream) > 0 {
		n := min(n, len(stream))
		c.feed(stream[:n])
		stream = stream[n:]
	}
	return c.fault
}

var streams = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"GET / HTTP/1.1\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
	"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
}

// Reads end anywhere; what is found does not depend on where.
func TestCutterDoesNotDependOnReads(t *testing.T) {
	t.Parallel()
	for _, s := range streams {
		want := cut([]byte(s), len(s))
		for n := 1; n < len(s); n++ {
			if got := cut([]byte(s), n); got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", s, n, got, want)
			}
		}
	}
}

// Streams in which the cutter finds no fault are cut by net/http into the same
// requests.
func FuzzCutterAgreesWithNetHTTP(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s), 7)
	}
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		fault := cut(stream, len(stream))
		if n > 0 {
			if got := cut(stream, n); got != fault {
				t.Fatalf("in pieces of %d: %q, whole: %q", n, got, fault)
			}
		}
		if fault != "" {
			return
		}
		// Feed the cutter what net/http has consumed, request by request: each must end
		// where a request line is expected.
		in := bytes.NewReader(stream)
		buffered := bufio.NewReaderSize(in, 16)
		var c cutter
		at := 0
		for {
			r, err := http.ReadRequest(buffered)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil && !errors.Is(err, io.EOF) {
				return
			}
			end := len(stream) - in.Len() - buffered.Buffered()
			c.feed(stream[at:end])
			at = end
			if !r.ProtoAtLeast(1, 1) && c.coded {
				return // refused by its version
			}
			if c.part != requestLine || c.size != 0 {
				t.Fatalf("net/http ends a request at %d, where the cutter is in part %d: %q", end, c.part, stream)
			}
		}
	})
}
