package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/headgate/headgate/upstream"
)

var errGone = errors.New("client has gone")

// Whatever the exchange is waiting for, the end of its context ends it, closes the connection and is named in the error.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer string // before the server waits
		size   int    // of the request
		reads  bool   // the server reads it
		sent   bool
	}{
		{name: "waiting for the header", reads: true, sent: true},
		{name: "inside the header", answer: ok200 + "A: ", reads: true, sent: true},
		{name: "behind an interim answer", answer: "HTTP/1.1 100 Continue\r\n\r\n", reads: true, sent: true},
		{name: "inside the body", answer: ok200 + "Content-Length: 9\r\n\r\nok", reads: true, sent: true},
		{name: "inside a stream", answer: chunked + "9\r\ndata: x\n\n\r\n", reads: true, sent: true},
		{name: "inside a body without length", answer: ok200 + "\r\nok", reads: true, sent: true},
		{name: "sending what nobody reads", size: 64 << 20, sent: true},
		{name: "sending behind an early answer", answer: ok200 + "Content-Length: 2\r\n\r\nok", size: 64 << 20, sent: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			waiting, closed := make(chan struct{}), make(chan struct{})
			url := serve(t, func(p *peer) {
				if tt.reads {
					p.request()
				} else {
					p.r.Peek(1)
				}
				p.send(tt.answer)
				close(waiting)
				io.Copy(io.Discard, readsOnlyIf(tt.reads, p, closed))
				if tt.reads {
					close(closed)
				}
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-waiting
				cancel(errGone)
			}()
			c := newClient(t, upstream.ClientConfig{})
			resp, err := c.Do(ctx, post(t, url, strings.Repeat("x", tt.size)))
			if err == nil {
				_, err = resp.ReadAll(nil, 1<<20)
				if again, err2 := resp.Read(make([]byte, 9)); again != 0 || !errors.Is(err2, errGone) {
					t.Errorf("read again: %d, %v", again, err2)
				}
			}
			if !errors.Is(err, errGone) || !errors.Is(err, context.Canceled) || errors.Is(err, upstream.ErrNotSent) == tt.sent {
				t.Errorf("error %v", err)
			}
			if tt.reads {
				<-closed // the server sees the cancel as the end of the connection
			} else {
				close(closed)
			}
		})
	}
}

// readsOnlyIf is p, or a reader that ends when closed is closed.
func readsOnlyIf(reads bool, p *peer, closed chan struct{}) io.Reader {
	if reads {
		return p
	}
	return readerFunc(func([]byte) (int, error) {
		<-closed
		return 0, io.EOF
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCancelBeforeSending(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	c := newClient(t, upstream.ClientConfig{DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialed")
		return nil, net.ErrClosed
	}})
	if _, err := c.Do(ctx, post(t, "http://test/", "{}")); !errors.Is(err, errGone) || !errors.Is(err, upstream.ErrNotSent) {
		t.Error(err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	c = newClient(t, upstream.ClientConfig{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel(errGone)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if _, err := c.Do(ctx, post(t, "http://test/", "{}")); !errors.Is(err, errGone) || !errors.Is(err, upstream.ErrNotSent) {
		t.Error(err)
	}
}

// A context that ends when the answer has been read to its end does no harm to the connection, which serves others by then.
func TestCancelAfterTheEnd(t *testing.T) {
	t.Parallel()
	url := serve(t, func(p *peer) {
		for {
			if _, _, ok := p.request(); !ok {
				return
			}
			if p.n > 1 {
				t.Error("a second connection")
			}
			p.send(ok200 + "Content-Length: 2\r\n\r\nok")
		}
	})
	c := newClient(t, upstream.ClientConfig{})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := c.Do(ctx, post(t, url, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resp.ReadAll(nil, 10); err != nil {
			t.Fatal(err)
		}
		cancel()
		resp.Close()
	}
}

// Close is the cancel: it comes from any goroutine, ends a read in progress, and the server sees the connection close.
func TestCloseEndsRead(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.request()
		p.send(chunked + "2\r\nok\r\n")
		io.Copy(io.Discard, p)
		close(gone)
	})
	c := newClient(t, upstream.ClientConfig{})
	resp, err := c.Do(t.Context(), post(t, url, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := io.ReadFull(resp, buf[:2]); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for range 3 {
		go resp.Close()
	}
	if n, err := resp.Read(buf); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	<-gone
	if err := resp.Close(); err != nil {
		t.Error(err)
	}
	if n, err := resp.Read(buf); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read after Close: %d, %v", n, err)
	}
	if resp.Header.Get("transfer-encoding") != "chunked" {
		t.Error("the header is lost")
	}
}

func TestReadAllLimit(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		ok200 + "Content-Length: 1000000000000\r\n\r\nxxxxxxxxxx",
		chunked + "8\r\nxxxxxxxx\r\n8\r\nxxxxxxxx\r\n0\r\n\r\n",
		chunked + "fffffffffff\r\nxxxxxxxxxxxx",
		ok200 + "\r\nxxxxxxxxxxxxxxxx",
	} {
		url := serve(t, func(p *peer) {
			p.request()
			p.send(raw)
			p.request()
		})
		c := newClient(t, upstream.ClientConfig{})
		resp, err := c.Do(t.Context(), post(t, url, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := resp.ReadAll([]byte("prefix"), 10)
		if !errors.Is(err, upstream.ErrTooLarge) || len(body) > len("prefix")+10 || !strings.HasPrefix(string(body), "prefix") {
			t.Errorf("%.60q: %q, %v", raw, body, err)
		}
	}
}

func TestReadAllExactlyAtLimit(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{ok200 + "Content-Length: 10\r\n\r\n0123456789", chunked + "a\r\n0123456789\r\n0\r\n\r\n", chunked + "0\r\n\r\n"} {
		dial, _ := dialing(func() net.Conn { return newScript(raw, 5, false) })
		resp, err := newClient(t, upstream.ClientConfig{DialContext: dial}).Do(t.Context(), post(t, "http://test/", ""))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := resp.ReadAll(nil, 10); err != nil || len(body)%10 != 0 {
			t.Errorf("%q, %v", body, err)
		}
	}
}
