package upstream_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/headgate/headgate/upstream"
)

// recorder keeps what is written, write by write.
type recorder struct {
	*script
	writes [][]byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(p))
	return r.script.Write(p)
}

func record(t *testing.T, req *upstream.Request) *recorder {
	t.Helper()
	r := &recorder{script: newScript(ok200+"Content-Length: 0\r\n\r\n", 99, false)}
	dial, _ := dialing(func() net.Conn { return r })
	if got := call(t, newClient(t, upstream.ClientConfig{DialContext: dial}), req); got.err != nil {
		t.Fatal(got.err)
	}
	return r
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	const fixed = "\r\nAccept-Encoding: identity\r\n"
	for _, tt := range []struct {
		method, url, body, want string
		header                  []upstream.Field
	}{
		{method: "POST", url: "http://h/mcp", body: "{}", want: "POST /mcp HTTP/1.1\r\nHost: h" + fixed + "A: 1\r\nContent-Length: 2\r\n\r\n{}"},
		{method: "POST", url: "http://h/mcp", want: "POST /mcp HTTP/1.1\r\nHost: h" + fixed + "A: 1\r\nContent-Length: 0\r\n\r\n"},
		{method: "GET", url: "http://h:8080", want: "GET / HTTP/1.1\r\nHost: h:8080" + fixed + "A: 1\r\n\r\n"},
		{
			method: "DELETE", url: "http://h/a%2Fb/%C3%A4?q=1&r=%20#frag", want: "DELETE /a%2Fb/%C3%A4?q=1&r=%20 HTTP/1.1\r\nHost: h" + fixed + "A: 1\r\nMcp-Session-Id: s\r\nB: é\tx\r\n\r\n",
			header: []upstream.Field{{Name: "Mcp-Session-Id", Value: "s"}, {Name: "B", Value: "é\tx"}},
		},
		{method: "GET", url: "http://[::1]:80/", want: "GET / HTTP/1.1\r\nHost: [::1]:80" + fixed + "A: 1\r\n\r\n"},
		{method: "GET", url: "http://[fe80::1%25eth0]/", want: "GET / HTTP/1.1\r\nHost: [fe80::1]" + fixed + "A: 1\r\n\r\n"},
		{method: "GET", url: "http://h:/x", want: "GET /x HTTP/1.1\r\nHost: h" + fixed + "A: 1\r\n\r\n"},
	} {
		e := endpoint(t, tt.url, upstream.Field{Name: "A", Value: "1"})
		r := record(t, &upstream.Request{Method: tt.method, Endpoint: e, Header: tt.header, Body: []byte(tt.body)})
		if len(r.writes) != 1 || string(r.writes[0]) != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.url, r.writes, tt.want)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, upstream.ClientConfig{})
	for _, req := range []upstream.Request{
		{Method: ""},
		{Method: "GET /x HTTP/1.1\r\nA:"},
		{Method: "CONNECT"},
		{Method: "GET", Header: []upstream.Field{{Name: "", Value: "x"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A B", Value: "x"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A:", Value: "x"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A\r\nB", Value: "x"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A", Value: "x\r\nB: y"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A", Value: "x\ny"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A", Value: "x\x00"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "A", Value: "x\x7f"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "host", Value: "x"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "content-length", Value: "0"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "Transfer-Encoding", Value: "chunked"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "CONNECTION", Value: "close"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "Accept-Encoding", Value: "gzip"}}},
		{Method: "GET", Header: []upstream.Field{{Name: "Expect", Value: "100-continue"}}},
	} {
		req.Endpoint = endpoint(t, "http://127.0.0.1:1/")
		if _, err := c.Do(t.Context(), &req); !errors.Is(err, upstream.ErrNotSent) || !strings.Contains(err.Error(), "request: ") {
			t.Errorf("%q %q: %v", req.Method, req.Header, err)
		}
	}
}

func TestEndpointsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, u := range []url.URL{
		{Scheme: "http", Host: "h", User: url.UserPassword("me", "secret")},
		{Scheme: "http", Host: "h", User: url.User("")},
		{Scheme: "ftp", Host: "h"},
		{Scheme: "", Host: "h"},
		{Scheme: "http", Path: "/x"},
		{Scheme: "http", Host: ":80"},
		{Scheme: "http", Opaque: "h"},
		{Scheme: "http", Host: "h:0"},
		{Scheme: "http", Host: "h:65536"},
		{Scheme: "http", Host: "h\r\nA: b"},
		{Scheme: "http", Host: "bücher.example"},
		{Scheme: "http", Host: "h", RawQuery: "a b"},
		{Scheme: "http", Host: "h", RawQuery: "a\r\nHost: x"},
	} {
		_, err := upstream.NewEndpoint(&u, nil)
		if err == nil {
			t.Errorf("%#v is accepted", u)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("error tells the password: %v", err)
		}
	}
	if _, err := upstream.NewEndpoint(&url.URL{Scheme: "http", Host: "h"}, []upstream.Field{{Name: "Host", Value: "x"}}); err == nil {
		t.Error("a fixed Host is accepted")
	}
	if got := endpoint(t, "https://h:1/a?token=1").String(); got != "https://h:1/a" {
		t.Errorf("String is %q", got)
	}
}

func TestOneWriteUpTo64KiB(t *testing.T) {
	t.Parallel()
	// This connection is none that can be asked whether a write would block, so that larger bodies are written by a goroutine.
	for _, tt := range []struct{ size, writes int }{{0, 1}, {15 << 10, 1}, {60 << 10, 1}, {64 << 10, 2}, {1 << 20, 2}} {
		body := bytes.Repeat([]byte("x"), tt.size)
		r := record(t, &upstream.Request{Method: "POST", Endpoint: endpoint(t, "http://h/"), Body: body})
		if len(r.writes) != tt.writes || !bytes.HasSuffix(bytes.Join(r.writes, nil), append([]byte("\r\n\r\n"), body...)) {
			t.Errorf("body of %d: %d writes", tt.size, len(r.writes))
		}
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Path == "/chunked" {
				w.(http.Flusher).Flush()
			}
			w.Write(body)
		}))
		if secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		c := newClient(t, upstream.ClientConfig{TLS: clientTLS(srv)})
		for _, size := range []int{16 << 10, 64 << 10, 1 << 20, 16 << 20} {
			for _, path := range []string{"/", "/chunked"} {
				body := strings.Repeat("0123456789abcde\n", size/16)
				resp, err := c.Do(t.Context(), post(t, srv.URL+path, body))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := resp.ReadAll(nil, size); err != nil || string(got) != body {
					t.Errorf("secure %v, %s of %d: got %d, %v", secure, path, size, len(got), err)
				}
			}
		}
	}
}

// A server may answer before it has read the request, and not read it at all. Nobody waits for ever.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	const refused = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
	big := strings.Repeat("x", 64<<20)
	for _, tt := range []struct {
		name   string
		handle func(p *peer)
		status int
	}{
		{"refused, never read, left open", func(p *peer) {
			p.r.Peek(1)
			p.send(refused)
			p.r.ReadString('!') // as long as the client is there
		}, 413},
		{"refused and closed", func(p *peer) {
			p.r.Peek(1)
			p.send(refused)
			p.Conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, p.r)
		}, 413},
		{"accepted, then read", func(p *peer) {
			p.r.Peek(1)
			p.send(ok200 + "Content-Length: 3\r\n\r\nbig")
			p.request()
			p.request()
		}, 200},
		{"accepted, then closed", func(p *peer) {
			p.r.Peek(1)
			p.send(ok200 + "Content-Length: 3\r\n\r\nbig")
			p.Conn.(*net.TCPConn).CloseRead()
		}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, tt.handle)
			got := call(t, newClient(t, upstream.ClientConfig{}), post(t, url, big))
			if got.status != tt.status || got.body != "big" || got.err != nil {
				t.Errorf("%d %q %v", got.status, got.body, got.err)
			}
		})
	}
}

func TestServerResetsWhileSending(t *testing.T) {
	t.Parallel()
	url := serve(t, func(p *peer) {
		p.r.Peek(1)
		p.Conn.(*net.TCPConn).SetLinger(0)
	})
	got := call(t, newClient(t, upstream.ClientConfig{}), post(t, url, strings.Repeat("x", 64<<20)))
	if got.err == nil || errors.Is(got.err, upstream.ErrNotSent) {
		t.Errorf("%+v", got)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	got := call(t, newClient(t, upstream.ClientConfig{}), post(t, "http://"+l.Addr().String(), "{}"))
	failed := new(upstream.ExchangeError)
	if !errors.As(got.err, &failed) || failed.Op != "dial" || failed.Sent || failed.Host != l.Addr().String() {
		t.Errorf("%v", got.err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.TLS.NegotiatedProtocol)
	}))
	srv.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	srv.StartTLS()
	t.Cleanup(srv.Close)

	given := clientTLS(srv)
	given.NextProtos = []string{"h2"}
	c := newClient(t, upstream.ClientConfig{TLS: given})
	for range 3 {
		if got := call(t, c, post(t, srv.URL, "{}")); got.err != nil || got.body != "HTTP/1.1 http/1.1" {
			t.Errorf("%+v", got)
		}
	}
	if len(given.NextProtos) != 1 || given.ServerName != "" {
		t.Error("the caller's configuration was changed")
	}

	got := call(t, newClient(t, upstream.ClientConfig{}), post(t, srv.URL, "{}"))
	var unknown *tls.CertificateVerificationError
	if !errors.As(got.err, &unknown) || !errors.Is(got.err, upstream.ErrNotSent) {
		t.Errorf("unknown authority: %v", got.err)
	}
	plain := "http" + strings.TrimPrefix(srv.URL, "https")
	if got := call(t, c, post(t, plain, "{}")); got.status != 400 {
		t.Errorf("plain to a TLS port: %+v", got)
	}
}

func TestTLSToPlainServer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(p *peer) { p.send("HTTP/1.1 400 Bad Request\r\n\r\n") })
	got := call(t, newClient(t, upstream.ClientConfig{}), post(t, strings.Replace(url, "http", "https", 1), "{}"))
	var header tls.RecordHeaderError
	if !errors.As(got.err, &header) || !errors.Is(got.err, upstream.ErrNotSent) {
		t.Errorf("%v", got.err)
	}
}
