package upstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake/names"
	"github.com/headgate/headgate/upstream"
)

// twin is a server at two addresses of loopback, at one port, that says at which it was reached.
type twin struct {
	url    string
	addrs  [2]netip.Addr
	served [2]atomic.Int64
	conns  [2]atomic.Int64 // that are open
}

func newTwin(t *testing.T, host string) *twin {
	t.Helper()
	w := &twin{addrs: [2]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}}
	port := 0
	for i, addr := range w.addrs {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		server := &http.Server{
			ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				w.served[i].Add(1)
				if r.URL.Path == "/slow" {
					out.(http.Flusher).Flush()
					time.Sleep(500 * time.Millisecond)
				}
				_, _ = io.WriteString(out, addr.String())
			}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					w.conns[i].Add(1)
				case http.StateClosed:
					w.conns[i].Add(-1)
				}
			},
		}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	w.url = "http://" + net.JoinHostPort(host, strconv.Itoa(port))
	return w
}

func startNames(t *testing.T) *names.Server {
	t.Helper()
	s, err := names.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, c *upstream.Client, url string) (string, error) {
	t.Helper()
	resp, err := c.Do(t.Context(), &upstream.Request{Method: "GET", Endpoint: endpoint(t, url)})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Close() }()
	body, err := resp.ReadAll(nil, 1<<10)
	return string(body), err
}

// A name that leads elsewhere is followed, though connections to where it led would last for ever: no call fails, what runs there
// ends there, and the connections are then closed.
func TestANameThatLeadsElsewhereIsFollowed(t *testing.T) {
	t.Parallel()
	dns := startNames(t)
	server := newTwin(t, "moving.test")
	dns.Set("moving.test", time.Second, server.addrs[0])
	c := newClient(t, upstream.ClientConfig{Resolver: dns.Resolver()})
	if at, err := get(t, c, server.url); err != nil || at != "127.0.0.1" {
		t.Fatal(at, err)
	}
	slow := make(chan string, 1)
	go func() {
		at, err := get(t, c, server.url+"/slow")
		slow <- at + errors.Join(err, errors.New("")).Error()
	}()
	for server.served[0].Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if at, err := get(t, c, server.url); err != nil || at != "127.0.0.1" { // whose connection is kept
		t.Fatal(at, err)
	}
	dns.Set("moving.test", time.Second, server.addrs[1])
	began := time.Now()
	for at := ""; at != "127.0.0.2"; time.Sleep(5 * time.Millisecond) {
		var err error
		if at, err = get(t, c, server.url); err != nil {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if time.Since(began) > time.Minute {
			t.Fatal("it is not followed")
		}
	}
	t.Logf("followed after %v", time.Since(began))
	if at := <-slow; at != "127.0.0.1" {
		t.Errorf("the call that ran: %s", at)
	}
	for deadline := time.Now().Add(20 * time.Second); server.conns[0].Load() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections to the old address are still open", server.conns[0].Load())
		}
	}
	// When the name cannot be looked up any more, it leads where it led.
	dns.Set("moving.test", time.Second)
	c.CloseIdle()
	if at, err := get(t, c, server.url); err != nil || at != "127.0.0.2" {
		t.Errorf("%q %v", at, err)
	}
}

// Nobody asks for a name to which there are no connections.
func TestANameIsForgottenWithItsLastConnection(t *testing.T) {
	t.Parallel()
	dns := startNames(t)
	server := newTwin(t, "quiet.test")
	dns.Set("quiet.test", time.Second, server.addrs[0])
	c := newClient(t, upstream.ClientConfig{Resolver: dns.Resolver()})
	if _, err := get(t, c, server.url); err != nil {
		t.Fatal(err)
	}
	c.CloseIdle()
	before := dns.Asked("quiet.test")
	time.Sleep(4 * time.Second)
	if after := dns.Asked("quiet.test"); after != before {
		t.Errorf("asked %d times more", after-before)
	}
}

// An address is no name.
func TestAnAddressIsNotLookedUp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	t.Cleanup(server.Close)
	c := newClient(t, upstream.ClientConfig{Resolver: &net.Resolver{}})
	if at, err := get(t, c, server.URL); err != nil || at != "x" {
		t.Fatal(at, err)
	}
}
