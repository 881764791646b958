package edge_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/edge"
)

// Connections that send nothing, or too slowly, do not stay.
func TestSlowHeadsAreHungUpOn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text  string        // what comes at once
		drip  string        // what comes every second after it
		after time.Duration // when the gate must have hung up
	}{
		"silence":                {"", "", 11 * time.Second},
		"half a head":            {"POST /mcp HTTP/1.1\r\nHost: x\r\n", "", 11 * time.Second},
		"a head that never ends": {"POST /mcp HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", 12 * time.Second},
		"idle after a request":   {"GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n", "", 121 * time.Second},
		"a body that drips":      {"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", " ", 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := open(t, setup{memory: true})
				c, err := g.client.Transport.(*http.Transport).DialContext(t.Context(), "tcp", g.addr)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for text := tt.text; ; text = tt.drip {
						if _, err := io.WriteString(c, text); err != nil {
							return
						}
						time.Sleep(time.Second)
						if time.Since(start) > time.Hour {
							return
						}
					}
				}()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > tt.after {
					t.Errorf("hung up after %v, want %v", took, tt.after)
				}
				_ = c.Close()
				<-done
			})
		})
	}
}

// overTLS opens a gate whose connections are TLS, and returns what its certificate is
// good for. Requests pass through in on their way.
func overTLS(t *testing.T, s setup, in func(http.Handler) http.Handler) (*gate, *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	cert, key := issue(t, "localhost")
	write(t, certFile, cert)
	write(t, keyFile, key)
	log := slog.New(slog.DiscardHandler)
	cfg, err := edge.Certificates(edge.CertificateFiles{Cert: certFile, Key: keyFile}, log)
	if err != nil {
		t.Fatal(err)
	}
	plain := open(t, s)
	server := edge.Server(in(plain.handler), log)
	server.TLSConfig = cfg
	l := loopback(t)
	done := make(chan error, 1)
	go func() { done <- server.Serve(tls.NewListener(l, cfg)) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	addr := l.Addr().String()
	return &gate{tb: t, addr: addr, url: "https://" + addr + "/mcp", client: &http.Client{Transport: transport}, sessions: plain.sessions}, roots
}

// HTTP/2 is served over TLS, with the same rules.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	g, _ := overTLS(t, setup{}, func(h http.Handler) http.Handler { return h })
	bearer := g.session()
	resp := g.send(t.Context(), "POST", request("7", "x/y"), bearer...)
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != 200 || !strings.Contains(string(text), `"id":7`) {
		t.Fatalf("%s %d %s %v", resp.Proto, resp.StatusCode, text, err)
	}
	stream, end := g.listen(bearer...)
	g.sessions.Broadcast(everywhere, changed("tools"))
	if got := method(t, stream); got != "notifications/tools/list_changed" {
		t.Errorf("got %s", got)
	}
	end()
	if a := g.do("POST", strings.Repeat(" ", 5<<20), bearer...); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("5 MiB: %d %s", a.status, a.body)
	}
}

// A handler's write deadline is not the next one's.
func TestServerLiftsDeadlinesBetweenRequests(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hurried" {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		}
		_, _ = io.WriteString(w, "ok")
	})
	log := slog.New(slog.DiscardHandler)
	for name, newServer := range map[string]func(*testing.T) server{
		"plain":  func(t *testing.T) server { return edge.Plain(t.Context(), handler, log) },
		"in TLS": func(*testing.T) server { return edge.Server(handler, log) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			askHurriedly(t, newServer)
		})
	}
}

type server interface {
	Serve(l net.Listener) error
	Close() error
}

func askHurriedly(t *testing.T, newServer func(*testing.T) server) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := newServer(t)
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		transport := &http.Transport{DialContext: l.dial, MaxConnsPerHost: 1}
		client := &http.Client{Transport: transport}
		for _, path := range []string{"/hurried", "/other", "/hurried", "/other"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gate"+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "ok" {
				t.Errorf("%s: %q %v", path, text, err)
			}
			resp.Body.Close()
			time.Sleep(10 * time.Second)
		}
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
}

func TestServerMessagesGoToTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server := edge.Server(http.NotFoundHandler(), slog.New(slog.NewTextHandler(&log, nil)))
	server.ErrorLog.Print("http: panic serving 127.0.0.1: boom\nwith a\x1b[31m second line")
	server.ErrorLog.Print("http: TLS handshake error from 127.0.0.1: EOF")
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "boom") || strings.Contains(got, "handshake") {
		t.Errorf("log = %q", got)
	}
}

// Many connections that only drip do not keep others from being served.
func TestGoodClientsAmongDrippingOnes(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{SlowSender: 50 * time.Millisecond}})
	id := g.session()[1]
	var slow []net.Conn
	for range 50 {
		c, _ := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", id)
		slow = append(slow, c)
	}
	for i := range 200 {
		if a := g.do("POST", request(fmt.Sprint(i), "x/y"), "Mcp-Session-Id", id); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for _, c := range slow {
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a slow connection: %v", err)
		}
	}
}

// A target that names a host overrules the field by which a proxy may have decided.
func TestTargetsThatNameAHostAreRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, target := range []string{"http://" + g.addr + "/mcp", "http://other/mcp", "https://other/mcp"} {
		c, in := g.dial()
		if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: "+g.addr+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !resp.Close {
			t.Errorf("%s: %s", target, resp.Status)
		}
	}
}
