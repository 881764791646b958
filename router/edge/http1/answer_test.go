package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/edge/http1"
)

// answers reads all answers of a connection, to requests of a method.
func answers(t *testing.T, method, out string) (all []*http.Response) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(out))
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Fatalf("%v in %q", err, out)
			}
			return all
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		resp.Body = io.NopCloser(strings.NewReader(string(text)))
		all = append(all, resp)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 10_000)
	for what, tt := range map[string]struct {
		method, fields string
		handler        http.HandlerFunc
		status         int
		body           string
		length         int64 // -1 where it is chunked
		ends           bool
	}{
		"nothing":       {handler: func(http.ResponseWriter, *http.Request) {}, status: 200},
		"a status":      {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, status: 202},
		"no content":    {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, status: 204},
		"short":         {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "abc") }, status: 200, body: "abc", length: 3},
		"long":          {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }, status: 200, body: long, length: -1},
		"long, known":   {handler: known(long), status: 200, body: long, length: int64(len(long))},
		"promised":      {handler: promised("abc"), status: 200, body: "abc", length: 3},
		"short, known":  {handler: known("abc"), status: 200, body: "abc", length: 3},
		"flushed":       {handler: flushed("a", "b", ""), status: 200, body: "ab", length: -1},
		"flushed, long": {handler: flushed(long, "b", long), status: 200, body: long + "b" + long, length: -1},
		"HEAD":          {method: "HEAD", handler: known("abc"), status: 200, length: 3},
		"not modified":  {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, status: 304},
		"asked to end":  {fields: "Connection: close\r\n", handler: known("abc"), status: 200, body: "abc", length: 3, ends: true},
		"handler ends": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		}, status: 200, ends: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			method := "GET"
			if tt.method != "" {
				method = tt.method
			}
			one := method + " / HTTP/1.1\r\nHost: x\r\n" + tt.fields + "\r\n"
			out := play(t, []byte(one+one), 4096, tt.handler)
			all := answers(t, method, out)
			if want := map[bool]int{true: 1, false: 2}[tt.ends]; len(all) != want {
				t.Fatalf("%d answers, want %d: %q", len(all), want, out)
			}
			for _, resp := range all {
				text, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != tt.status || string(text) != tt.body || resp.ContentLength != tt.length || resp.Close != tt.ends {
					t.Errorf("%s, %d of %d bytes, close: %v", resp.Status, len(text), resp.ContentLength, resp.Close)
				}
				if resp.Header.Get("Date") == "" {
					t.Error("no date")
				}
			}
		})
	}
}

func known(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = w.(interface{ WriteWhole(p, q []byte) error }).WriteWhole([]byte(text[:1]), []byte(text[1:]))
	}
}

func promised(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text[:1])
		_, _ = io.WriteString(w, text[1:])
	}
}

func flushed(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, part := range parts {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
	}
}

// An old client learns from the end of the connection that an answer is whole.
func TestHTTP10(t *testing.T) {
	t.Parallel()
	out := play(t, []byte("GET / HTTP/1.0\r\n\r\n"), 100, flushed("a", "b"))
	if strings.Contains(out, "chunked") || !strings.HasSuffix(out, "\r\n\r\nab") || !strings.Contains(out, "Connection: close\r\n") {
		t.Errorf("%q", out)
	}
}

// What a handler writes beyond what its header promises would be taken for another answer.
func TestNoMoreIsSentThanPromised(t *testing.T) {
	t.Parallel()
	out := play(t, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "abcd"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("more: %v", err)
		}
		_, _ = io.WriteString(w, "ab")
	})
	if !strings.HasSuffix(out, "\r\n\r\nab") || strings.Count(out, "HTTP/1.1") != 1 {
		t.Errorf("%q", out)
	}
	out = play(t, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, _ = io.WriteString(w, "ab")
	})
	if strings.Count(out, "HTTP/1.1") != 1 {
		t.Errorf("the connection went on after an answer that is too short: %q", out)
	}
	play(t, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := io.WriteString(w, "a"); !errors.Is(err, http.ErrBodyNotAllowed) {
			t.Errorf("content of 204: %v", err)
		}
	})
}

// Header values cannot become lines.
func TestHeaderValuesStayOnTheirLine(t *testing.T) {
	t.Parallel()
	out := play(t, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X"] = []string{"a\r\nSet-Cookie: b", "c\x00d"}
		w.Header()["Bad Name"] = []string{"e"}
	})
	if strings.Contains(out, "\r\nSet-Cookie") || strings.Contains(out, "Bad Name") || !strings.Contains(out, "X: a  Set-Cookie: b\r\n") || !strings.Contains(out, "X: c d\r\n") {
		t.Errorf("%q", out)
	}
}

// A client that waits to be told to go on is told so when its content is wanted, and not otherwise.
func TestExpectations(t *testing.T) {
	t.Parallel()
	const stream = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
	out := play(t, []byte(stream), 100, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	if !strings.HasPrefix(out, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.HasSuffix(out, "abc") {
		t.Errorf("%q", out)
	}
	out = play(t, []byte(stream), 100, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if !strings.HasPrefix(out, "HTTP/1.1 401") || !strings.Contains(out, "Connection: close\r\n") {
		t.Errorf("%q", out)
	}
}

// Content that a handler leaves is read, up to a point, so that the connection can go on.
func TestContentThatIsLeft(t *testing.T) {
	t.Parallel()
	for length, served := range map[int]int{10: 2, 100 << 10: 2, 300 << 10: 1} {
		one := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(length) + "\r\n\r\n" + strings.Repeat("a", length)
		out := play(t, []byte(one+"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 4096, func(http.ResponseWriter, *http.Request) {})
		if got := len(answers(t, "GET", out)); got != served {
			t.Errorf("%d bytes left: %d answers, want %d", length, got, served)
		}
	}
}

func TestPanicsEndTheConnection(t *testing.T) {
	t.Parallel()
	for _, p := range []any{"boom", http.ErrAbortHandler} {
		out := play(t, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100, func(http.ResponseWriter, *http.Request) { panic(p) })
		if out != "" {
			t.Errorf("%v: %q", p, out)
		}
	}
}

// serve serves on loopback.
func serve(t *testing.T, handler http.HandlerFunc) (*http1.Server, string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, handler)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, in *bufio.Reader) (int, bool) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

// offering is what Offer is of.
type offering interface {
	WriteNow(p []byte, within time.Duration) error
	Offers() bool
	Offer(b []byte, at int) (owes bool, err error)
	Settle(within time.Duration) error
}

// What is offered to a client that does not take it waits, and arrives whole and in its order; nobody waits for the client before Settle.
func TestOffers(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	for i := range 40_000 {
		want.WriteString(strconv.Itoa(i) + strings.Repeat("x", i%500) + "\n")
	}
	owed := make(chan struct{})
	var tell sync.Once
	var some atomic.Bool
	_, addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer tell.Do(func() { close(owed) })
		x := w.(offering)
		if x.Offers() {
			t.Error("an answer that has not begun is offered")
		}
		parts := strings.SplitAfter(want.String(), "\n")
		_ = x.WriteNow([]byte(parts[0]), 10*time.Second)
		for n, part := range parts[1:] {
			if part == "" {
				break
			}
			if !x.Offers() {
				t.Error("an answer that has begun is not offered")
			}
			before := []string{"", "abc", "room enough"}[n%3]
			owes, err := x.Offer([]byte(before+part), len(before))
			if err != nil {
				t.Error(n, err)
				return
			}
			if !owes {
				continue
			}
			some.Store(true)
			tell.Do(func() { close(owed) })
			if n%2 == 0 { // else something else is written before it is settled
				if err = x.Settle(10 * time.Second); err != nil {
					t.Error(n, err)
				}
			}
		}
		_, _ = io.WriteString(w, "the end")
	})
	c, in := dial(t, addr)
	_ = c.(*net.TCPConn).SetReadBuffer(128 << 10)
	say(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-owed
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != want.String()+"the end" {
		t.Errorf("%d bytes came of %d, %v", len(got), want.Len(), err)
	}
	if !some.Load() {
		t.Error("all was taken at once")
	}
}

// The deadline of what was written before is none of an offer's.
func TestOffersAfterADeadline(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		x := w.(offering)
		_ = x.WriteNow([]byte("a"), time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		if owes, err := x.Offer([]byte("b"), 0); owes || err != nil {
			t.Error(owes, err)
		}
		if err := x.Settle(10 * time.Second); err != nil { // there is nothing to settle but the time for the end
			t.Error(err)
		}
	})
	c, in := dial(t, addr)
	say(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "ab" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that has gone is noticed, and one that takes nothing is given up.
func TestOffersThatNobodyTakes(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]bool{"gone": true, "slow": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := make(chan error, 1)
			_, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
				x := w.(offering)
				err := x.WriteNow([]byte("a"), 10*time.Second)
				for err == nil {
					if _, err = x.Offer(make([]byte, 4000), 0); err == nil {
						err = x.Settle(50 * time.Millisecond)
					}
				}
				if x.Offers() || r.Context().Err() == nil {
					t.Error("the answer goes on")
				}
				failed <- err
			})
			c, _ := dial(t, addr)
			say(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if leave {
				_ = c.Close()
			}
			if err := <-failed; leave == errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		})
	}
}

// A handler that takes its time learns that its client has gone, also when content came before.
func TestDepartedClientsAreNoticed(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 1)
	_, addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	})
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", post + "Content-Length: 3\r\n\r\nabc", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		c, _ := dial(t, addr)
		say(t, c, text)
		_ = c.Close()
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: not noticed", text)
		}
	}
}

// A request that comes while another one is served is served after it, whether or not somebody watched the connection.
func TestRequestsThatComeEarly(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		time.Sleep(20 * time.Millisecond) // long enough to be watched
		if r.Context().Err() != nil {
			t.Error("the client was taken for gone")
		}
		_, _ = w.Write(text)
	})
	c, in := dial(t, addr)
	for range 3 {
		say(t, c, post+"Content-Length: 3\r\n\r\nabc")
		time.Sleep(10 * time.Millisecond)
		say(t, c, post+"Content-Length: 6000\r\n\r\n"+strings.Repeat("d", 6000))
		for range 2 {
			if code, ends := status(t, in); code != 200 || ends {
				t.Fatalf("%d, close: %v", code, ends)
			}
		}
	}
}

func TestHijack(t *testing.T) {
	t.Parallel()
	s, addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("written after it: %v", err)
		}
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(c, "heard "+line)
	})
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\nearly\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c, in := dial(t, addr)
		say(t, c, text)
		if !strings.Contains(text, "early") {
			time.Sleep(10 * time.Millisecond)
			say(t, c, "late\n")
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "heard ") || len(line) < 10 {
			t.Errorf("%q %v", line, err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil { // connections that are somebody else's do not keep it
		t.Error(err)
	}
}

// Shutting down breaks no request: the one that runs is answered, one on its way to an idle connection too, and each
// answer says that it is the last one.
func TestShutdown(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			close(begun)
			<-finish
		}
	})
	idle, idleIn := dial(t, addr)
	say(t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, ends := status(t, idleIn); ends {
		t.Fatal("the connection ends too early")
	}
	busy, busyIn := dial(t, addr)
	say(t, busy, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	say(t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // is on its way
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(t.Context()) }()
	if code, _ := status(t, idleIn); code != 200 {
		t.Errorf("on its way: %d", code)
	}
	select {
	case err := <-over:
		t.Fatalf("it ended before its last request: %v", err)
	case <-time.After(2 * 100 * time.Millisecond):
	}
	close(finish)
	if code, ends := status(t, busyIn); code != 200 || !ends {
		t.Errorf("running: %d, close: %v", code, ends)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, func(http.ResponseWriter, *http.Request) { close(begun); <-finish })
	c, _ := dial(t, addr)
	say(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := s.Shutdown(ctx); !errors.Is(err, why) {
		t.Error(err)
	}
	close(finish)
}

// Connections on which too little comes, or from which too little is taken, end.
func TestTimeOuts(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		text  string
		deaf  time.Duration // the client reads nothing for so long
		after time.Duration // at most, and at least seven eighths of it
	}{
		"silence":   {"", 0, 10 * time.Second},
		"half head": {"GET / HTTP/1.1\r\n", 0, 10 * time.Second},
		"idle":      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, time.Minute},
		"not taken": {"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", 11 * time.Second, 11 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, end := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/long" {
						_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
					}
				})
				defer end()
				began := time.Now()
				say(t, client, tt.text)
				time.Sleep(tt.deaf)
				_, _ = io.Copy(io.Discard, client)
				if took := time.Since(began); took > tt.after || took < tt.after*7/8 {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
}

// servePipe serves one connection in memory, to its end.
func servePipe(t *testing.T, handler http.HandlerFunc) (client net.Conn, end func()) {
	t.Helper()
	s := newServer(t, handler)
	l := &once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	client, server := net.Pipe()
	l.conn <- server
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return client, func() {
		_ = s.Close()
		<-done
		_ = client.Close()
	}
}

// Without descriptors the listener waits, and goes on when there are some.
func TestAcceptingGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &failing{once: once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}, left: 5}
		s := newServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		client, server := net.Pipe()
		l.conn <- server
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		say(t, client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if code, _ := status(t, bufio.NewReader(client)); code != 200 {
			t.Error(code)
		}
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		_ = client.Close()
	})
}

// failing is a listener that has no descriptors for a while.
type failing struct {
	once
	left int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.left > 0 {
		l.left--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.once.Accept()
}
