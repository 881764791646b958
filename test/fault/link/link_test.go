package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waiting for what must come, moment what must not.
const (
	patience = 30 * time.Second
	moment   = 100 * time.Millisecond
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // nobody to tell
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func set(t *testing.T, l *Link, f Fault) {
	t.Helper()
	if err := l.Set(f); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// say writes a text and returns what has come back when that is as long, or after a while.
func say(t *testing.T, c net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	return hear(c, len(text), within)
}

func hear(c net.Conn, n int, within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	got := make([]byte, n)
	read, err := io.ReadFull(c, got)
	return string(got[:read]), err
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if got, err := say(t, c, text, patience); got != text {
		t.Fatalf("heard %.20q, %v, want %.20q", got, err, text)
	}
}

func TestLinkCarriesBothWaysAndEndsEachByItself(t *testing.T) {
	l := Start(t, echo(t))
	c := dial(t, l)
	expect(t, c, strings.Repeat("all of it. ", 100_000))
	_, _ = io.WriteString(c, "last")
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(c); string(rest) != "last" || err != nil {
		t.Errorf("after the client's end: %q %v", rest, err)
	}
	if l.Accepted() != 1 {
		t.Errorf("accepted %d", l.Accepted())
	}
	for end := time.Now().Add(patience); l.Open() != 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if l.Open() != 0 {
		t.Error("a connection that ended is open")
	}
}

func TestLinkIsLate(t *testing.T) {
	l := Start(t, echo(t))
	c := dial(t, l)
	set(t, l, Fault{Latency: moment})
	began := time.Now()
	expect(t, c, "late")
	if took := time.Since(began); took < 2*moment {
		t.Errorf("both ways took %v, want %v at least", took, 2*moment)
	}
	set(t, l, Fault{Latency: time.Hour})
	if got, err := say(t, c, "x", moment); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q %v", got, err)
	}
	set(t, l, Fault{})
	if got, err := hear(c, 1, patience); got != "x" {
		t.Errorf("what was under way did not come with the change: %q %v", got, err)
	}
}

func TestLinkIsSlow(t *testing.T) {
	l := Start(t, echo(t))
	c := dial(t, l)
	set(t, l, Fault{Rate: 1000})
	began := time.Now()
	expect(t, c, strings.Repeat("x", 200))
	if took := time.Since(began); took < 140*time.Millisecond { // the first 50 go at once
		t.Errorf("200 bytes at 1000 B/s took %v", took)
	}
}

func TestLinkCutsAtAByte(t *testing.T) {
	for name, f := range map[string]Fault{"up": {CutUp: 5}, "down": {CutDown: 5}} {
		t.Run(name, func(t *testing.T) {
			l := Start(t, echo(t))
			set(t, l, f)
			c := dial(t, l)
			got, err := say(t, c, "1234567890", patience)
			if len(got) > 5 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("heard %q, %v, want five bytes at most and a reset", got, err)
			}
		})
	}
}

func TestLinkResetsAndRefuses(t *testing.T) {
	l := Start(t, echo(t))
	c := dial(t, l)
	expect(t, c, "x")
	l.Reset()
	if _, err := hear(c, 1, patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("open connection: %v", err)
	}
	set(t, l, Fault{Refuse: true})
	c, err := net.Dial("tcp", l.Addr())
	if err == nil {
		_, err = say(t, c, "x", patience)
		_ = c.Close()
	}
	if err == nil {
		t.Error("a new connection is good")
	}
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	expect(t, dial(t, l), "x")
}

func TestLinkToNobodyIsReset(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	c, err := net.Dial("tcp", Start(t, gone.Addr().String()).Addr())
	if err == nil {
		_, err = say(t, c, "x", patience)
		_ = c.Close()
	}
	if err == nil {
		t.Error("somebody answers")
	}
}

func TestLinkIsABlackHole(t *testing.T) {
	l := Start(t, echo(t))
	c := dial(t, l)
	set(t, l, Fault{Hold: true})
	fresh := dial(t, l)
	for _, c := range []net.Conn{c, fresh} {
		if got, err := say(t, c, "x", moment); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("heard %q %v", got, err)
		}
	}
	set(t, l, Fault{})
	for _, c := range []net.Conn{c, fresh} {
		if got, err := hear(c, 1, patience); got != "x" {
			t.Errorf("what was held is lost: %q %v", got, err)
		}
	}
}

// Of a silent link nothing is heard, not even an acknowledgement, nobody can connect, and when it is heard of again what
// was sent has not been lost.
func TestLinkIsSilent(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // silence says so
	}
	l := Start(t, echo(t))
	c := dial(t, l)
	expect(t, c, "x")
	set(t, l, Fault{Silent: true})
	if got, err := say(t, c, "y", moment); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q %v", got, err)
	}
	if n := unacknowledged(t, c.(*net.TCPConn)); n == 0 {
		t.Error("the packet was acknowledged")
	}
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	if fresh, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr()); err == nil {
		t.Error("a new connection was accepted")
		_ = fresh.Close()
	}
	set(t, l, Fault{})
	if got, err := hear(c, 1, patience); got != "y" {
		t.Errorf("after the silence: %q %v", got, err)
	}
	expect(t, dial(t, l), "z")
}
