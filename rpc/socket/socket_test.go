//go:build unix

package socket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

// pair returns both ends of a connection, and the socket of one of them.
func pair(tb testing.TB, network string) (near net.Conn, s *socket.Socket, far net.Conn) {
	tb.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(tb.TempDir(), "s")
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), network, address)
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if near, err = (&net.Dialer{}).DialContext(tb.Context(), network, l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		near.Close()
		far.Close()
	})
	if s = socket.Of(near); s == nil {
		tb.Fatal("a connection of the system has no socket")
	}
	return near, s, far
}

// await returns once a look shows what is expected.
func await(t *testing.T, s *socket.Socket, want socket.State) {
	t.Helper()
	for begin := time.Now(); s.Look() != want; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("state %d instead of %d", s.Look(), want)
		}
	}
}

func TestConnectionsThatAreNoSockets(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if socket.Of(a) != nil {
		t.Error("a pipe within the process has a socket")
	}
	near, _, _ := pair(t, "tcp")
	if socket.Of(tls.Client(near, &tls.Config{ServerName: "x"})) != nil {
		t.Error("what TLS sends has a socket")
	}
}

func TestReadWaitsForBytesAndTheEnd(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			_, s, far := pair(t, network)
			if n, err := s.Read(nil); n != 0 || err != nil {
				t.Errorf("read of nothing: %d, %v", n, err)
			}
			for _, text := range []string{"a", "", "bc", strings.Repeat("d", 100_000)} {
				go func() {
					time.Sleep(5 * time.Millisecond) // long enough for the read to wait
					_, _ = io.WriteString(far, text)
				}()
				got := make([]byte, len(text))
				if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
			far.Close()
			for range 2 {
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("at the end: %d, %v", n, err)
				}
			}
		})
	}
}

func TestReceive(t *testing.T) {
	t.Parallel()
	near, s, far := pair(t, "tcp")
	for _, text := range []string{"a", "bc"} {
		go func() {
			time.Sleep(5 * time.Millisecond) // long enough for it to wait
			_, _ = io.WriteString(far, text)
		}()
		b, n, err := s.Receive()
		if err != nil || string(b[:n]) != text {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		b.Free()
	}
	_ = near.SetReadDeadline(time.Unix(1, 0))
	if b, n, err := s.Receive(); b != nil || n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
	_ = near.SetReadDeadline(time.Time{})
	far.Close()
	if b, n, err := s.Receive(); b != nil || n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// What ends a read or a write of package net ends ours, with the same error.
func TestWhatEndsAReadOrAWrite(t *testing.T) {
	t.Parallel()
	big := make([]byte, 64<<20)
	for name, tt := range map[string]struct {
		end  func(near, far net.Conn)
		want error
	}{
		"deadline": {func(near, _ net.Conn) { _ = near.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":    {func(near, _ net.Conn) { near.Close() }, net.ErrClosed},
	} {
		for doing, do := range map[string]func(rw io.ReadWriter) (int, error){
			"read":  func(rw io.ReadWriter) (int, error) { return rw.Read(make([]byte, 1)) },
			"write": func(rw io.ReadWriter) (int, error) { return rw.Write(big) },
		} {
			t.Run(name+" "+doing, func(t *testing.T) {
				t.Parallel()
				near, s, far := pair(t, "tcp")
				timer := time.AfterFunc(20*time.Millisecond, func() { tt.end(near, far) })
				defer timer.Stop()
				_, err := do(s)
				again, ours := do(s)
				_, theirs := do(near)
				if !errors.Is(err, tt.want) || again != 0 || ours.Error() != theirs.Error() {
					t.Errorf("%v, then %v where package net has %v", err, ours, theirs)
				}
			})
		}
	}
}

func TestResetConnections(t *testing.T) {
	t.Parallel()
	_, s, far := pair(t, "tcp")
	_ = far.(*net.TCPConn).SetLinger(0)
	far.Close()
	await(t, s, socket.Gone) // and takes the error with it
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection that was reset")
	}
	_, err := s.Write([]byte("x"))
	var op *net.OpError
	if !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" || op.Addr == nil {
		t.Errorf("write to a connection that was reset: %v", err)
	}

	_, s, far = pair(t, "tcp")
	_ = far.(*net.TCPConn).SetLinger(0)
	timer := time.AfterFunc(20*time.Millisecond, func() { far.Close() })
	defer timer.Stop()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read from a connection that is reset: %v", err)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	near, s, far := pair(t, "tcp")
	if s.Look() != socket.Quiet {
		t.Error("not quiet")
	}
	_, _ = io.WriteString(far, "x")
	await(t, s, socket.Readable)
	if n, err := s.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("what was looked at is gone: %d, %v", n, err)
	}
	far.Close()
	await(t, s, socket.Gone)
	near.Close()
	if s.Look() != socket.Gone {
		t.Error("a connection closed here is not gone")
	}
}

// All bytes arrive in their order, however long what is written is and however slowly it is read.
func TestWriteWaitsForRoom(t *testing.T) {
	t.Parallel()
	_, s, far := pair(t, "tcp")
	want := make([]byte, 20<<20)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	go func() {
		for _, part := range [][]byte{want[:10], want[10:3000], want[3000:70_000], want[70_000:]} {
			if n, err := s.Write(part); n != len(part) || err != nil {
				t.Errorf("wrote %d of %d, %v", n, len(part), err)
			}
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what arrived differs: %v", err)
	}
}

func TestWriteSomeDoesNotWait(t *testing.T) {
	t.Parallel()
	near, s, far := pair(t, "tcp")
	got := make(chan []byte)
	if n, err := s.WriteSome([][]byte{nil, nil}); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	want := []byte("abcdefgh")
	for left := [][]byte{want[:2], nil, want[2:3], want[3:5], want[5:7], want[7:]}; len(left) > 0; {
		n, err := s.WriteSome(left)
		if err != nil || n == 0 {
			t.Fatalf("wrote %d, %v", n, err)
		}
		for len(left) > 0 && n >= len(left[0]) {
			n -= len(left[0])
			left = left[1:]
		}
		if n > 0 {
			left[0] = left[0][n:]
		}
	}
	go func() {
		all, _ := io.ReadAll(io.LimitReader(far, int64(len(want))))
		got <- all
	}()
	if text := <-got; !bytes.Equal(text, want) {
		t.Errorf("what arrived is %q", text)
	}
	big := make([]byte, 1<<20)
	total, full := 0, false
	for range 1000 {
		n, err := s.WriteSome([][]byte{big})
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			full = true
			break
		}
	}
	if !full || total == 0 {
		t.Errorf("%d bytes were taken of a peer that does not read", total)
	}
	near.Close()
	if _, err := s.WriteSome([][]byte{big[:1]}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("on a connection closed here: %v", err)
	}
}

func TestReadingAndWritingAllocateNothing(t *testing.T) {
	_, s, far := pair(t, "tcp")
	p, parts := make([]byte, 64), [][]byte{make([]byte, 8), make([]byte, 8)}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = far.Write(p)
		_, _ = s.Read(p)
		_, _ = s.Write(p[:16])
		_, _ = s.WriteSome(parts)
		_ = s.Look()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// heap takes what is pushed, up to a number of bytes.
type heap struct {
	text []byte
	want int
}

func (h *heap) Take(b *socket.Buffer, n int) bool {
	h.text = append(h.text, b[:n]...)
	b.Free()
	return len(h.text) < h.want
}

func TestPush(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			_, s, far := pair(t, network)
			want := make([]byte, 3<<20)
			for i := range want {
				want[i] = byte(i * 7 >> 3)
			}
			go func() {
				for left := want; len(left) > 0; {
					n := min(len(left), 1+len(left)%9973)
					_, _ = far.Write(left[:n])
					left = left[n:]
					if len(left)%64 == 0 {
						time.Sleep(time.Millisecond) // long enough for Push to wait
					}
				}
			}()
			var all []byte
			for len(all) < len(want) {
				h := &heap{want: min(300_000, len(want)-len(all))}
				if err := s.Push(h); err != nil || len(h.text) < h.want {
					t.Fatalf("pushed %d of %d bytes, %v", len(h.text), h.want, err)
				}
				one := make([]byte, 1) // what is not pushed is read
				if n, err := s.Read(one[:min(1, len(want)-len(all)-len(h.text))]); err != nil {
					t.Fatal(n, err)
				} else {
					all = append(append(all, h.text...), one[:n]...)
				}
			}
			if !bytes.Equal(all, want) {
				t.Error("what arrived differs")
			}
			far.Close()
			if err := s.Push(&heap{want: 1}); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

// The end that came together with the last bytes is no news to the poller after them.
func TestPushSeesAnEndThatWasThereBefore(t *testing.T) {
	t.Parallel()
	near, s, far := pair(t, "tcp")
	_, _ = io.WriteString(far, "abc")
	far.Close()
	time.Sleep(20 * time.Millisecond)
	_ = near.SetReadDeadline(time.Now().Add(10 * time.Second))
	h := &heap{want: 100}
	if err := s.Push(h); err != io.EOF || string(h.text) != "abc" {
		t.Errorf("%q, %v", h.text, err)
	}
}

// Nor is a reset that did.
func TestPushSeesAResetThatWasThereBefore(t *testing.T) {
	t.Parallel()
	_, s, far := pair(t, "tcp")
	_, _ = io.WriteString(far, "abc")
	_ = far.(*net.TCPConn).SetLinger(0)
	far.Close()
	time.Sleep(20 * time.Millisecond)
	h := &heap{want: 100}
	if err := s.Push(h); !errors.Is(err, syscall.ECONNRESET) || string(h.text) != "abc" {
		t.Errorf("%q, %v", h.text, err)
	}
}

// What ends a read of package net ends a push that waits.
func TestWhatEndsAPush(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(near net.Conn)
		want error
	}{
		"deadline": {func(near net.Conn) { _ = near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":    {func(near net.Conn) { near.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, s, far := pair(t, "tcp")
			_, _ = io.WriteString(far, "abc")
			timer := time.AfterFunc(20*time.Millisecond, func() { tt.end(near) })
			defer timer.Stop()
			h := &heap{want: 100}
			if err := s.Push(h); !errors.Is(err, tt.want) || string(h.text) != "abc" {
				t.Errorf("%q, %v", h.text, err)
			}
		})
	}
}

func TestWriteNow(t *testing.T) {
	t.Parallel()
	near, s, far := pair(t, "tcp")
	if n, err := s.WriteNow([]byte("abc")); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	big := make([]byte, 60_000)
	full := false
	for range 10_000 {
		n, err := s.WriteNow(big)
		if err != nil {
			t.Fatal(err)
		}
		if full = n < len(big); full {
			break
		}
	}
	if !full {
		t.Error("all is taken of a peer that does not read")
	}
	_ = near.SetWriteDeadline(time.Unix(1, 0)) // which is for what waits
	if n, err := s.WriteNow(big); n == len(big) || err != nil {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
	near.Close()
	if n, err := s.WriteNow(big); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("on a connection closed here: %d, %v", n, err)
	}
}
