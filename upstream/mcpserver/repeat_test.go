package mcpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// hangUp closes the connection that a request came on, after some bytes.
func hangUp(w http.ResponseWriter, bytes string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = conn.Write([]byte(bytes))
	_ = conn.Close()
}

// A call whose bytes have left is not made again, however it failed: nobody knows whether it ran.
func TestCorner5_28_CallsAreNotRepeated(t *testing.T) {
	t.Parallel()
	status := func(code int) func(w http.ResponseWriter, r received) {
		return func(w http.ResponseWriter, _ received) {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "sorry", code)
		}
	}
	for name, fail := range map[string]func(w http.ResponseWriter, r received){
		"connection closed":  func(w http.ResponseWriter, _ received) { hangUp(w, "") },
		"closed in the head": func(w http.ResponseWriter, _ received) { hangUp(w, "HTTP/1.1 200 OK\r\nContent-") },
		"closed in the body": func(w http.ResponseWriter, _ received) {
			hangUp(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
		},
		"stream without end": func(w http.ResponseWriter, _ received) {
			hangUp(w, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: x\n\n")
		},
		"closed before a byte": func(w http.ResponseWriter, _ received) {
			hangUp(w, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n")
		},
		"500": status(500),
		"502": status(502),
		"503": status(503),
		"429": status(429),
		"internal error": func(w http.ResponseWriter, r received) {
			answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32603,"message":"try again"}}`)
		},
		"silence": func(_ http.ResponseWriter, r received) { <-r.ctx.Done() },
	} {
		for era, text := range map[rpc.Era]string{rpc.Legacy: toolCall("1", "x", `{}`), rpc.Modern: modernToolCall("1", "x", `{}`)} {
			t.Run(name+" "+era.String(), func(t *testing.T) {
				t.Parallel()
				h := &script{answer: fail}
				client := legacyClient()
				if era == rpc.Modern {
					h.discover, client = discovered, modernClient()
				}
				cfg := remote(t, h)
				cfg.Timeout = time.Second
				s := newServer(t, cfg)
				if _, err := s.Describe(t.Context()); err != nil { // a connection that is used again
					t.Fatal(err)
				}
				a, err := run(t.Context(), s, newCall(t, client, text))
				if err == nil && a.response.Err == nil {
					t.Errorf("got %s", textOf(a.response))
				}
				if e, ok := errors.AsType[*rpc.Error](err); ok && e.NotRun {
					t.Errorf("said not to have run: %v", err)
				}
				if n := len(h.find("POST", "tools/call")); n != 1 {
					t.Errorf("the server got the call %d times", n)
				}
			})
		}
	}
}

// Errors say whether the call can be made again.
func TestCorner5_24_ErrorsSayWhetherTheCallRan(t *testing.T) {
	t.Parallel()
	nobody, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	for name, tt := range map[string]struct {
		cfg    config.Upstream
		tool   string
		code   rpc.Code
		notRun bool
	}{
		"nobody listens":       {config.Upstream{Name: "files", URL: "http://" + nobody.Addr().String()}, "x", rpc.UpstreamDown, true},
		"no such program":      {config.Upstream{Name: "files", Command: "/nowhere/to/be/found"}, "x", rpc.UpstreamDown, true},
		"cannot start":         {scripted("crashing"), "x", rpc.UpstreamDown, true},
		"it died of the call":  {scripted("legacy"), "die", rpc.UpstreamDown, false},
		"it did not answer it": {scripted("legacy"), "hang", rpc.UpstreamTimeout, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Timeout = 2 * time.Second
			s := newServer(t, tt.cfg)
			e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", tt.tool, `{}`)), tt.code)
			if e.NotRun != tt.notRun {
				t.Errorf("not run: %v, want %v: %v", e.NotRun, tt.notRun, e)
			}
		})
	}
}

// Cancelling reaches a call wherever it is: what a server has not seen yet it never sees.
func TestCorner5_19_CancelOfACallThatWaits(t *testing.T) {
	t.Parallel()
	t.Run("for a server that reads nothing", func(t *testing.T) {
		t.Parallel()
		cfg := scripted("deaf")
		cfg.Era = "legacy"
		s := newServer(t, cfg)
		if _, err := s.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		call := func(ctx context.Context, ended chan<- error, arguments string) {
			_, err := run(ctx, s, newCall(t, legacyClient(), toolCall("1", "raw", arguments)))
			ended <- err
		}
		blocked, unblock := context.WithCancel(t.Context())
		big, ended := `"`+strings.Repeat("x", 300_000)+`"`, make(chan error, 3)
		for range cap(ended) {
			go call(blocked, ended, big)
		}
		eventually(t, "one is being written", func() bool { return queued(s) == cap(ended)-1 })
		ctx, cancel := context.WithCancel(t.Context())
		last := make(chan error, 1)
		go call(ctx, last, `{}`)
		eventually(t, "the last call waits", func() bool { return queued(s) == cap(ended) })
		cancel()
		if err := <-last; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := queued(s); n != cap(ended)-1 {
			t.Errorf("%d messages wait for the server", n)
		}
		unblock()
		for range cap(ended) {
			<-ended
		}
	})
	t.Run("for a new session", func(t *testing.T) {
		t.Parallel()
		again, goOn := make(chan struct{}), make(chan struct{})
		var sessions atomic.Int32
		h := &script{
			initial: func(w http.ResponseWriter, id string) {
				if sessions.Add(1) > 1 {
					close(again)
					<-goOn
				}
				w.Header().Set("Mcp-Session-Id", "s")
				answerJSON(w, 200, initialized(id))
			},
			answer: func(w http.ResponseWriter, _ received) { http.Error(w, "no such session", 404) },
		}
		s := newServer(t, remote(t, h))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-again
			cancel()
		}()
		if _, err := run(ctx, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(goOn)
		eventually(t, "the session is open", func() bool { return s.links.find(linkKey{era: rpc.Legacy}) != nil })
		if n := len(h.find("POST", "tools/call")); n != 1 {
			t.Errorf("the server got the call %d times", n)
		}
	})
}
