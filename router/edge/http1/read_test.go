package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// request is what a handler heard.
type request struct {
	Method, URI, Path, Proto, Host, Body string
	Length                               int64
	Fields                               http.Header
}

// hear returns a request as it was heard, and whether its content was whole.
func hear(r *http.Request) (request, bool) {
	text, err := io.ReadAll(r.Body)
	return request{
		Method: r.Method, URI: r.RequestURI, Path: r.URL.Path, Proto: r.Proto, Host: r.Host, Body: string(text),
		Length: r.ContentLength, Fields: maps.Clone(r.Header),
	}, err == nil
}

// heard returns the requests of a stream that were served whole.
func heard(tb testing.TB, stream []byte, piece int) (out []request) {
	tb.Helper()
	play(tb, stream, piece, func(_ http.ResponseWriter, r *http.Request) {
		if one, whole := hear(r); whole {
			out = append(out, one)
		}
	})
	return out
}

// heardByNetHTTP is the same with net/http's reader, for as many requests.
func heardByNetHTTP(tb testing.TB, stream []byte, n int) (out []request) {
	tb.Helper()
	in := bufio.NewReader(bytes.NewReader(stream))
	for range n {
		r, err := http.ReadRequest(in)
		if err != nil {
			tb.Fatalf("net/http reads %d requests of %q: %v", len(out), stream, err)
		}
		one, _ := hear(r)
		out = append(out, one)
	}
	return out
}

const post = "POST /mcp HTTP/1.1\r\nHost: x\r\n"

var streams = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a/b?c=d%20e#f HTTP/1.1\r\nhost: x:80\r\naccept: a\r\nACCEPT: b\r\nX-y_Z:c \t\r\n\r\n",
	"GET //a%2Fb HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	post + "Content-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
	post + "Content-Length: 0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
	post + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A \r\n0123456789\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	post + "Connection: keep-alive, Close\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	post + "X: " + strings.Repeat("y", 5000) + "\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: x\r\n\r\n",
}

// What is served is what net/http would have read.
func TestRequestsAreReadAsNetHTTPReadsThem(t *testing.T) {
	t.Parallel()
	for _, stream := range streams {
		got := heard(t, []byte(stream), len(stream))
		if len(got) == 0 {
			t.Errorf("%q: nothing was served", stream)
		}
		if diff := cmp.Diff(heardByNetHTTP(t, []byte(stream), len(got)), got); diff != "" {
			t.Errorf("%q: net/http (-), here (+):\n%s", stream, diff)
		}
	}
}

// Reads end anywhere; what is heard and answered does not depend on where.
func TestReadsMayEndAnywhere(t *testing.T) {
	t.Parallel()
	for _, stream := range append(slices.Clone(streams), post+"Content-Length: 3\n\nabc", post+"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n") {
		stream := []byte(stream)
		want := heard(t, stream, len(stream))
		for piece := 1; piece < min(len(stream), 100); piece++ {
			if diff := cmp.Diff(want, heard(t, stream, piece)); diff != "" {
				t.Errorf("%q in pieces of %d:\n%s", stream, piece, diff)
			}
		}
	}
}

// What is no proper request is refused, with the status that says best what is wrong, and nothing after it is served.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		stream string
		status int
	}{
		"version to come":           {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
		"coding":                    {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
		"expectation":               {post + "Expect: more\r\n\r\n", 417},
		"long head":                 {post + "X: " + strings.Repeat("y", 9000) + "\r\n\r\n", 431},
		"many fields":               {post + strings.Repeat("X: y\r\n", 2000) + "\r\n", 431},
		"no host":                   {"GET / HTTP/1.1\r\n\r\n", 400},
		"host with a path":          {"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
		"two hosts":                 {post + "Host: y\r\n\r\n", 400},
		"absolute target":           {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"target of CONNECT":         {"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"target with bad escape":    {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"target beyond ASCII":       {"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"empty line first":          {"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"space first":               {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"two spaces":                {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"bare line feed":            {"GET / HTTP/1.1\nHost: x\n\n", 400},
		"fold":                      {post + "X: y\r\n z\r\n\r\n", 400},
		"space before colon":        {post + "X : y\r\n\r\n", 400},
		"NUL":                       {post + "X: y\x00\r\n\r\n", 400},
		"carriage return":           {post + "X: y\rz\r\n\r\n", 400},
		"length and coding":         {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400},
		"two lengths":               {post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
		"length with a sign":        {post + "Content-Length: +3\r\n\r\nabc", 400},
		"coding in 1.0":             {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400},
		"after a good one":          {"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/3\r\nHost: x\r\n\r\n", 505},
		"a handshake of TLS":        {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n", 400},
		"something else altogether": {"hello\r\n\r\n", 400},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			out := play(t, []byte(tt.stream+"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"), 1000, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hidden" {
					t.Error("what came after it was served")
				}
			})
			in := bufio.NewReader(strings.NewReader(out))
			for {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("no refusal: %q", out)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.Header.Get("Refused") == "" {
					continue
				}
				if resp.StatusCode != tt.status || !resp.Close {
					t.Errorf("%q", out)
				}
				return
			}
		})
	}
}

// Content whose framing is wrong is an error of reading it, never an end.
func TestBadContentIsAnError(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"Content-Length: 5\r\n\r\nabc",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
		"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 5000) + "\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + strings.Repeat("A: b\r\n", 3000) + "\r\n",
	} {
		served := 0
		out := play(t, []byte(post+content), 700, func(w http.ResponseWriter, r *http.Request) {
			served++
			if text, err := io.ReadAll(r.Body); err == nil {
				t.Errorf("%q: read as %q", content, text)
			}
			w.WriteHeader(http.StatusBadRequest)
		})
		if served != 1 || !strings.Contains(out, "Connection: close\r\n") {
			t.Errorf("%q: %d requests, answered %q", content, served, out)
		}
	}
}

// Streams that are served are read by net/http in the same way, wherever reads end.
func FuzzServerAgreesWithNetHTTP(f *testing.F) {
	for i, s := range streams {
		f.Add([]byte(s), 7*i)
	}
	f.Add([]byte(post+"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 3)
	f.Add([]byte(post+"Content-Length: 3\r\n y\r\n\r\nabc"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if len(stream) > 20<<10 {
			return
		}
		whole := heard(t, stream, len(stream))
		if diff := cmp.Diff(whole, heard(t, stream, piece)); diff != "" {
			t.Fatalf("whole (-), in pieces of %d (+):\n%s", piece, diff)
		}
		if diff := cmp.Diff(heardByNetHTTP(t, stream, len(whole)), whole); diff != "" {
			t.Fatalf("net/http (-), here (+):\n%s", diff)
		}
	})
}
