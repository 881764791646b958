package edge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// stoppable is a handler whose calls hang until somebody stops them, one at a time. Those
// of the method "x/quick" are answered at once; their stoppers are handed out too.
func stoppable(calls chan<- *rpc.Call) rpc.HandlerFunc {
	return func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		calls <- c
		switch c.Method.Name {
		case "x/quick":
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
		case "x/stream":
			started := make(chan *rpc.Message, 1)
			started <- rpc.NewNotification("notifications/message", []byte(`{"level":"info","data":1}`))
			return rpc.NewReply(play(ctx, started, nil)), nil
		}
		<-ctx.Done() // like a call that waits for its turn
		return nil, context.Cause(ctx)
	}
}

func errOperator() error {
	return rpc.Errorf(rpc.Stopped, "an operator ended the call")
}

const stopped = `"code":117,"message":"an operator ended the call"`

// Whoever is not the client can end any call: over each transport, in each era, before and
// after its first message. The client hears why, and can go on.
func TestCallsCanBeStopped(t *testing.T) {
	t.Parallel()
	modernText := func(id, method string) []string {
		body, header := modern(id, method, "")
		return append([]string{body}, header...)
	}
	for name, test := range map[string]struct {
		tls    bool
		method string
		legacy bool
	}{
		"modern":                 {method: "x/hang"},
		"modern, streaming":      {method: "x/stream"},
		"modern, HTTP/2":         {method: "x/hang", tls: true},
		"modern, HTTP/2, stream": {method: "x/stream", tls: true},
		"legacy":                 {method: "x/hang", legacy: true},
		"legacy, streaming":      {method: "x/stream", legacy: true},
		"legacy, HTTP/2":         {method: "x/hang", legacy: true, tls: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := make(chan *rpc.Call, 1)
			g := open(t, setup{handle: stoppable(calls)})
			if test.tls {
				g, _ = overTLS(t, setup{handle: stoppable(calls)}, func(h http.Handler) http.Handler { return h })
			}
			request := func(id, method string) []string { return modernText(id, method) }
			if test.legacy {
				session := g.session()
				request = func(id, method string) []string {
					return append([]string{`{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `"}`}, session...)
				}
			}
			go func() {
				c := <-calls
				c.Stopper.Stop(errOperator())
				c.Stopper.Stop(errOperator())
			}()
			r := request("1", test.method)
			a := g.do("POST", r[0], r[1:]...)
			if !strings.Contains(a.body, stopped) || a.status != http.StatusOK || strings.Count(a.body, `"id":1`) != 1 {
				t.Errorf("%d %s", a.status, a.body)
			}
			// What has ended is not stopped, nor is what follows it on the connection.
			r = request("2", "x/quick")
			if a := g.do("POST", r[0], r[1:]...); !strings.Contains(a.body, `"result"`) {
				t.Errorf("the next call: %d %s", a.status, a.body)
			}
			ended := <-calls
			go func() {
				c := <-calls
				ended.Stopper.Stop(errOperator())
				c.Stopper.Stop(rpc.Errorf(rpc.Stopped, "the third"))
			}()
			r = request("3", test.method)
			if a := g.do("POST", r[0], r[1:]...); !strings.Contains(a.body, "the third") {
				t.Errorf("a call was stopped in the place of another: %s", a.body)
			}
		})
	}
}

// On a connection that carries many calls one is stopped, and the client hears of it, as it
// does not of one that it has cancelled itself.
func TestOneOfManyIsStopped(t *testing.T) {
	t.Parallel()
	calls := make(chan *rpc.Call, 1)
	g := open(t, setup{handle: stoppable(calls)})
	socket := g.socket()
	for _, text := range []string{modernly(`"m"`, "x/hang")} {
		socket.say(text)
		(<-calls).Stopper.Stop(errOperator())
		if got := socket.hear(); !strings.Contains(got, stopped) || !strings.Contains(got, `"id":"m"`) {
			t.Errorf("%s", got)
		}
	}
	socket.initialize()
	socket.say(request(`"l"`, "x/hang"))
	(<-calls).Stopper.Stop(errOperator())
	if got := socket.hear(); !strings.Contains(got, stopped) || !strings.Contains(got, `"id":"l"`) {
		t.Errorf("%s", got)
	}
}

// Of a batch one call is stopped, and the others are answered.
func TestOneOfABatchIsStopped(t *testing.T) {
	t.Parallel()
	calls := make(chan *rpc.Call, 2)
	g := open(t, setup{handle: stoppable(calls)})
	session := g.sessionOf("2025-03-26")
	go func() {
		for range 2 {
			if c := <-calls; c.Method.Name == "x/hang" {
				c.Stopper.Stop(errOperator())
			}
		}
	}()
	a := g.do("POST", "["+request("1", "x/hang")+","+request("2", "x/quick")+"]", session...)
	got := outcomes(t, elements(t, a.body)...)
	if !strings.Contains(a.body, stopped) || len(got) != 2 || !strings.Contains(a.body, `"result"`) {
		t.Errorf("%s", a.body)
	}
}
