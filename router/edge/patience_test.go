package edge_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
)

// An answer that takes long becomes a stream, so that it can have heartbeats.
func TestCorner5_18_SlowAnswersBecomeStreamsWithHeartbeats(t *testing.T) {
	t.Parallel()
	const length = 75 * time.Second
	for name, tt := range map[string]struct {
		handle rpc.HandlerFunc
		want   string
	}{
		"slow handler": {func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(length)
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
		}, `{"jsonrpc":"2.0","id":7,"result":{}}`},
		"slow reply": {func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			messages := make(chan *rpc.Message, 1)
			response := rpc.NewResult(c.Message.ID, []byte(`{}`))
			time.AfterFunc(length, func() { messages <- response })
			return rpc.NewReply(play(ctx, messages, nil)), nil
		}, `{"jsonrpc":"2.0","id":7,"result":{}}`},
		"slow refusal": {func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(length)
			return nil, rpc.Errorf(rpc.OriginRefused, "no")
		}, `{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"no"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := open(t, setup{memory: true, handle: tt.handle})
				bearer := g.sessionOf("2025-06-18") // whose streams begin with nothing
				start := time.Now()
				resp := g.send(t.Context(), "POST", request("7", "tools/call"), bearer...)
				defer resp.Body.Close()
				if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
					t.Fatalf("%d %v", resp.StatusCode, resp.Header)
				}
				in := bufio.NewReader(resp.Body)
				for _, want := range []time.Duration{10 * time.Second, 30 * time.Second, 50 * time.Second, 70 * time.Second} {
					line, err := in.ReadString('\n')
					if got := time.Since(start); err != nil || line != ": hb\n" || got != want {
						t.Fatalf("%q %v after %v, want a heartbeat after %v", line, err, got, want)
					}
					if line, err = in.ReadString('\n'); err != nil || line != "\n" {
						t.Fatalf("%q %v", line, err)
					}
				}
				if got := events(t, in); len(got) != 1 || got[0] != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				if got := time.Since(start); got != length {
					t.Errorf("ended after %v", got)
				}
			})
		})
	}
}

// Answers that must not become a stream wait as long as they take.
func TestCorner5_18_QuietAnswersStayJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true, handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(time.Minute)
			if c.Message.IsNotification() {
				return rpc.Respond(nil), nil
			}
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
		}})
		bearer := g.session()
		a := g.do("POST", request("7", "tools/call"), append(bearer, "Accept", "application/json")...)
		if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("client without streams: %d %v", a.status, a.header)
		}
		if a := g.do("POST", `{"jsonrpc":"2.0","method":"notifications/x"}`, bearer...); a.status != 202 || a.body != "" {
			t.Errorf("notification: %d %q", a.status, a.body)
		}
	})
}

// A GET stream is there at once and has heartbeats from the start.
func TestSessionStreamsHaveHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true})
		bearer := g.sessionOf("2025-06-18") // whose streams begin without an event
		start := time.Now()
		resp := g.send(t.Context(), "GET", "", bearer...)
		defer resp.Body.Close()
		if got := time.Since(start); resp.StatusCode != 200 || got != 0 {
			t.Fatalf("%d after %v", resp.StatusCode, got)
		}
		in := bufio.NewReader(resp.Body)
		for i := range 200 { // longer than the session may be idle
			if line, err := in.ReadString('\n'); err != nil || line != ": hb\n" || time.Since(start) != time.Duration(i+1)*20*time.Second {
				t.Fatalf("%q %v after %v", line, err, time.Since(start))
			}
			if line, err := in.ReadString('\n'); err != nil || line != "\n" {
				t.Fatalf("%q %v", line, err)
			}
		}
	})
}

// A client that does not take what is written to it is as good as gone: a modern
// one's call ends, a legacy one's goes on without it.
func TestCorner5_17_SlowReadersAreGivenUp(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 100<<10)
	for _, era := range []rpc.Era{rpc.Modern, rpc.Legacy} {
		t.Run(era.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				pulled := make(chan int, 1)
				g := open(t, setup{memory: true, handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
					id := c.Message.ID
					n := 0
					return rpc.NewReply(endless(func() (*rpc.Message, error) {
						if ctx.Err() != nil || n == 1000 {
							pulled <- n
							return rpc.NewResult(id, []byte(`{}`)), nil
						}
						n++
						return rpc.NewNotification("notifications/message", []byte(`{"data":"`+big+`"}`)), nil
					})), nil
				}})
				body, header := modern("7", "x/y", "")
				if era == rpc.Legacy {
					body, header = request("7", "x/y"), g.session()
				}
				start := time.Now()
				resp := g.send(t.Context(), "POST", body, header...)
				defer resp.Body.Close()
				n := <-pulled
				if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
					t.Errorf("given up after %v", took)
				}
				if want := 1000; era == rpc.Legacy && n != want {
					t.Errorf("%d messages were pulled, want all %d", n, want)
				}
				if era == rpc.Modern && n > 3 {
					t.Errorf("%d messages were pulled for nobody", n)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Error("the stream ends as if it were complete")
				}
			})
		})
	}
}

// endless is a source made of one function.
type endless func() (*rpc.Message, error)

func (f endless) Next() (*rpc.Message, error) { return f() }
func (endless) Answer(*rpc.Message) error     { return rpc.ErrNoQuestion }
func (endless) Close() error                  { return nil }

// What a client left behind unanswered does not count for its next request.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true, edge: edge.Config{SlowReader: time.Second, SlowSender: time.Second}})
		bearer := g.session()
		for range 5 {
			if a := g.do("POST", request("7", "x/y"), bearer...); a.status != 200 {
				t.Errorf("status = %d", a.status)
			}
			time.Sleep(time.Minute) // the connection is idle and kept
		}
	})
}
