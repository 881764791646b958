package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/upstream"
)

// counted starts a net/http server that counts its connections.
func counted(tb testing.TB, h http.Handler) (*httptest.Server, *atomic.Int32) {
	tb.Helper()
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	tb.Cleanup(srv.Close)
	return srv, &conns
}

func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	srv, conns := counted(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chunked":
			w.(http.Flusher).Flush()
			w.Write(body)
		case "/empty":
			w.WriteHeader(http.StatusAccepted)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Write(body)
		}
	}))
	c := newClient(t, upstream.ClientConfig{})
	for i := range 40 {
		path := []string{"/", "/chunked", "/empty", "/none"}[i%4]
		want := strings.Repeat("x", i*i*10)
		got := call(t, c, post(t, srv.URL+path, want))
		if got.err != nil || i%4 < 2 && got.body != want {
			t.Fatalf("call %d to %s: %d bytes, %v", i, path, len(got.body), got.err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	c.CloseIdle()
	if got := call(t, c, post(t, srv.URL, "x")); got.err != nil || conns.Load() != 2 {
		t.Errorf("after CloseIdle: %v, %d connections", got.err, conns.Load())
	}
}

// A server that has closed a kept connection must cost nobody a call, whatever the method.
func TestServerClosedIdleConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 8)
	url := serve(t, func(p *peer) {
		if _, _, ok := p.request(); ok {
			p.send(ok200 + "Content-Length: 2\r\n\r\nok")
		}
		p.Close()
		closed <- struct{}{}
	})
	c := newClient(t, upstream.ClientConfig{})
	for i := range 4 {
		if got := call(t, c, post(t, url, "{}")); got.err != nil || got.body != "ok" {
			t.Fatalf("call %d: %+v", i, got)
		}
		<-closed
	}
}

// Bytes that arrive on an idle connection are the answer to nothing.
func TestUnaskedAnswer(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{}, 1)
	url := serve(t, func(p *peer) {
		for range 2 {
			if _, _, ok := p.request(); !ok {
				return
			}
			p.send(ok200 + fmt.Sprintf("Content-Length: 1\r\n\r\n%d", p.n))
			if p.n == 1 {
				p.send(ok200 + "Content-Length: 6\r\n\r\nforged")
				sent <- struct{}{}
			}
		}
	})
	c := newClient(t, upstream.ClientConfig{})
	if got := call(t, c, post(t, url, "{}")); got.body != "1" {
		t.Fatalf("%+v", got)
	}
	<-sent
	if got := call(t, c, post(t, url, "{}")); got.body != "2" {
		t.Errorf("%+v", got)
	}
}

// A kept connection that takes the request and then closes may have passed it on: no second try, and the error says so.
func TestConnectionDiesAfterTakingRequest(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	url := serve(t, func(p *peer) {
		for p.n > 0 {
			if _, _, ok := p.request(); !ok {
				return
			}
			if requests.Add(1) == 2 {
				return
			}
			p.send(ok200 + "Content-Length: 2\r\n\r\nok")
		}
	})
	c := newClient(t, upstream.ClientConfig{})
	if got := call(t, c, post(t, url, "{}")); got.err != nil {
		t.Fatal(got.err)
	}
	got := call(t, c, post(t, url, "{}"))
	if got.err == nil || errors.Is(got.err, upstream.ErrNotSent) || requests.Load() != 2 {
		t.Errorf("%d requests, error %v", requests.Load(), got.err)
	}
}

// brittle is a connection whose writes fail after some, accepting nothing.
type brittle struct {
	*script
	writes int
}

var errBroken = errors.New("broken")

func (b *brittle) Write(p []byte) (int, error) {
	if b.writes--; b.writes < 0 {
		return 0, errBroken
	}
	return b.script.Write(p)
}

func TestUnsentRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		writes, dials int
		err           error
	}{
		{writes: 2, dials: 1},
		{writes: 1, dials: 2},
		{writes: 0, dials: 1, err: upstream.ErrNotSent}, // a new connection is tried once
	} {
		dial, count := dialing(func() net.Conn {
			return &brittle{newScript(ok200+"Content-Length: 2\r\n\r\nok", 9, false), tt.writes}
		})
		c := newClient(t, upstream.ClientConfig{DialContext: dial})
		first := call(t, c, post(t, "http://test/", "{}"))
		if !errors.Is(first.err, tt.err) {
			t.Errorf("%+v: first call: %v", tt, first.err)
		}
		if tt.err == nil {
			if got := call(t, c, post(t, "http://test/", "{}")); got.err != nil || *count != tt.dials {
				t.Errorf("%+v: %d dials, %v", tt, *count, got.err)
			}
		}
	}
}

func TestMaxIdlePerHost(t *testing.T) {
	t.Parallel()
	arrived, hold := make(chan struct{}), make(chan struct{})
	srv, conns := counted(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-hold
	}))
	c := newClient(t, upstream.ClientConfig{MaxIdlePerHost: 2})
	round := func() {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if got := call(t, c, post(t, srv.URL, "")); got.err != nil {
					t.Error(got.err)
				}
			})
		}
		for range 5 {
			<-arrived
		}
		for range 5 {
			hold <- struct{}{}
		}
		wg.Wait()
	}
	round()
	round()
	if n := conns.Load(); n != 5+3 {
		t.Errorf("%d connections for two rounds of five, want 2 of them kept", n)
	}
}

// An event stream is finished when its last message is in hand, mostly before its end has arrived. The connection serves again.
func TestFinishedStreamKeepsConnection(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		over := make(chan struct{})
		var conns atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {}\n\n")
			w.(http.Flusher).Flush()
			<-over
		}))
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				conns.Add(1)
			case http.StateIdle:
				over <- struct{}{} // the end of the answer has been written
			default:
			}
		}
		if secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		c := newClient(t, upstream.ClientConfig{TLS: clientTLS(srv)})
		for i := range 5 {
			resp, err := c.Do(t.Context(), post(t, srv.URL, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			buf, err := readEvent(resp, make([]byte, 0, 100), 2)
			if string(buf) != "data: {}\n\n" || err != nil {
				t.Fatalf("%q %v", buf, err)
			}
			resp.Finish()
			resp.Close()
			if n, err := resp.Read(make([]byte, 9)); n != 0 || err == nil || err == io.EOF {
				t.Fatalf("read behind Finish: %d, %v", n, err)
			}
			over <- struct{}{} // let the server end the answer,
			<-over             // and wait until it has
			if n := conns.Load(); n != 1 {
				t.Fatalf("secure %v, call %d: %d connections", secure, i, n)
			}
		}
	}
}

// What comes behind a finished stream decides whether its connection serves the next call.
func TestWhatFollowsFinishedStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rest string
		serves     string // which connection answers the next call
	}{
		{"nothing yet", "", "2"},
		{"the end", "0\r\n\r\n", "1"},
		{"a little and the end", "4\r\nmore\r\n0\r\nA: b\r\n\r\n", "1"},
		{"more, no end", "4\r\nmore\r\n", "2"},
		{"too much", "fffff\r\n" + strings.Repeat("x", 0xfffff) + "\r\n0\r\n\r\n", "2"},
		{"garbage", "!", "2"},
		{"the end and an answer to nothing", "0\r\n\r\n" + ok200 + "Content-Length: 6\r\n\r\nforged", "2"},
		{"a close", "close", "2"},
		{"the end and a close", "0\r\n\r\nclose", "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			finished, sent := make(chan struct{}), make(chan struct{})
			url := serve(t, func(p *peer) {
				if _, _, ok := p.request(); !ok {
					return
				}
				p.send(chunked + fmt.Sprintf("1\r\n%d\r\n", p.n))
				if p.n > 1 {
					p.send("0\r\n\r\n")
					return
				}
				<-finished
				rest, closes := strings.CutSuffix(tt.rest, "close")
				p.send(rest[:min(len(rest), 1<<14)]) // as much as fits into the socket's buffers
				if closes {
					p.Close()
				}
				close(sent)
				if _, _, ok := p.request(); ok {
					p.send(ok200 + "Content-Length: 1\r\n\r\n1")
				}
			})
			c := newClient(t, upstream.ClientConfig{})
			resp, err := c.Do(t.Context(), post(t, url, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(resp, make([]byte, 1)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			resp.Finish()
			close(finished)
			<-sent
			if got := call(t, c, post(t, url, "{}")); got.err != nil || got.body != tt.serves {
				t.Errorf("%+v, want connection %s", got, tt.serves)
			}
		})
	}
}

func TestFinishOfForeignBody(t *testing.T) {
	t.Parallel()
	body := &closeCounter{Reader: strings.NewReader("x")}
	resp := upstream.NewResponse(200, http.Header{"B": {"2"}, "A": {"1", "3\r\nC: 4"}}, -1, body)
	if got := fmt.Sprint(resp.Header.Values("a"), resp.Header.Get("b"), resp.Header.Get("c")); got != "[1 3  C: 4]2" {
		t.Errorf("header %q", got)
	}
	if resp.Finish(); body.closed != 1 {
		t.Error("not closed")
	}
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

func TestIdleConnectionsExpire(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, header string
		wait         time.Duration
		dials        int
	}{
		{"at once", "", 0, 1},
		{"connections of unknown state are not trusted for long", "", 2 * time.Second, 2},
		{"the server's word counts", "Keep-Alive: timeout=1\r\n", 600 * time.Millisecond, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			var made []*script
			dial, count := dialing(func() net.Conn {
				s := newScript(ok200+tt.header+"Content-Length: 2\r\n\r\nok", 99, false)
				made = append(made, s)
				return s
			})
			c := upstream.NewClient(upstream.ClientConfig{DialContext: dial})
			for range 2 {
				if got := call(t, c, post(t, "http://test/", "{}")); got.err != nil {
					t.Fatal(got.err)
				}
				time.Sleep(tt.wait)
			}
			if *count != tt.dials {
				t.Errorf("%s: %d dials, want %d", tt.name, *count, tt.dials)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, s := range made {
				if !s.closed {
					t.Errorf("%s: an idle connection is still open", tt.name)
				}
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c := upstream.NewClient(upstream.ClientConfig{DialContext: hang, DialTimeout: 3 * time.Second})
		began := time.Now()
		got := call(t, c, post(t, "http://test/", "{}"))
		if !errors.Is(got.err, context.DeadlineExceeded) || !errors.Is(got.err, upstream.ErrNotSent) || time.Since(began) != 3*time.Second {
			t.Errorf("dial: %v after %v", got.err, time.Since(began))
		}
		if !strings.Contains(got.err.Error(), "not connected within 3s") {
			t.Errorf("dial: %v", got.err)
		}
	})
	url := serve(t, func(p *peer) {
		p.request()
		p.send(ok200)
		p.request()
	})
	c := newClient(t, upstream.ClientConfig{HeaderTimeout: 20 * time.Millisecond})
	var timeout net.Error
	if got := call(t, c, post(t, url, "{}")); !errors.As(got.err, &timeout) || !timeout.Timeout() || errors.Is(got.err, upstream.ErrNotSent) {
		t.Errorf("header: %v", got.err)
	}
}

// Many goroutines, connections that are cancelled in between: every answer is the one to its own request.
func TestAnswersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	srv, _ := counted(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if len(body)%3 == 0 {
			w.(http.Flusher).Flush()
		}
		w.Write(body)
	}))
	c := newClient(t, upstream.ClientConfig{MaxIdlePerHost: 16})
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				want := strings.Repeat(fmt.Sprintf("%d.%d,", g, i), 1+i*i)
				if i%5 == 4 {
					go cancel()
				}
				resp, err := c.Do(ctx, post(t, srv.URL, want))
				if err == nil {
					var body []byte
					body, err = resp.ReadAll(nil, 1<<20)
					if err == nil && string(body) != want {
						t.Errorf("another call's answer: %.60q for %.60q", body, want)
					}
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
