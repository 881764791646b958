package edge_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// Corner cases 5.17: streams that begin with an id, break, and are resumed.

// played is a handler whose one call is played from a channel.
func played(messages <-chan *rpc.Message) rpc.HandlerFunc {
	return func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(play(ctx, messages, nil)), nil
	}
}

func progressed(n string) *rpc.Message {
	return rpc.NewNotification("notifications/progress", []byte(`{"progressToken":1,"progress":`+n+`}`))
}

// beginning reads the first two events of a call's stream, and breaks it.
func beginning(t *testing.T, g *gate, bearer []string, messages chan<- *rpc.Message) (prime, first frame.Event) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	messages <- progressed("1")
	resp := g.send(ctx, "POST", request("7", "tools/call"), bearer...)
	defer resp.Body.Close()
	in := frame.NewSSEReader(resp.Body, 1<<20)
	prime, err := in.Next()
	if err != nil || prime.ID == "" || prime.Data == nil || len(prime.Data) > 0 || prime.Retry <= 0 {
		t.Fatalf("priming event %+v, %v", prime, err)
	}
	if first, err = in.Next(); err != nil || first.ID == "" {
		t.Fatalf("first event %+v, %v", first, err)
	}
	return prime, first
}

func TestResume517ReplaysWhatFollows(t *testing.T) {
	t.Parallel()
	messages := make(chan *rpc.Message, 3)
	g := open(t, setup{handle: played(messages)})
	bearer := g.session()
	prime, first := beginning(t, g, bearer, messages)
	messages <- progressed("2")
	messages <- rpc.NewResult(rpc.NumberID(7), []byte(`{}`))
	for id, want := range map[string]string{
		first.ID: `"progress":2 "result"`,
		prime.ID: `"progress":1 "progress":2 "result"`,
	} {
		a := g.do("GET", "", append([]string{"Last-Event-ID", id}, bearer...)...)
		wants := strings.Fields(want)
		if a.status != http.StatusOK || len(a.events) != len(wants) {
			t.Fatalf("after %s: %d %q, want %s", id, a.status, a.events, want)
		}
		for i, ev := range a.events {
			if !strings.Contains(ev, wants[i]) {
				t.Errorf("after %s: event %s, want %s", id, ev, wants[i])
			}
		}
	}
}

func TestResume517GoesOnLive(t *testing.T) {
	t.Parallel()
	messages := make(chan *rpc.Message, 1)
	g := open(t, setup{handle: played(messages)})
	bearer := g.session()
	_, first := beginning(t, g, bearer, messages)
	resp := g.send(t.Context(), "GET", "", append([]string{"Last-Event-ID", first.ID}, bearer...)...)
	defer resp.Body.Close()
	in := frame.NewSSEReader(resp.Body, 1<<20)
	for _, m := range []*rpc.Message{progressed("2"), rpc.NewResult(rpc.NumberID(7), []byte(`{}`))} {
		messages <- m
		ev, err := in.Next()
		if err != nil || string(ev.Data) != string(m.AppendTo(nil)) || ev.ID == "" {
			t.Fatalf("event %+v %v, want %s", ev, err, m.AppendTo(nil))
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream goes on: %v", err)
	}
}

// A stream that is gone must not look like a session that is gone, and is nobody
// else's.
func TestResume517IsRefused(t *testing.T) {
	t.Parallel()
	messages := make(chan *rpc.Message, 2)
	g := open(t, setup{handle: played(messages)})
	bearer := g.session("X-User", "ann")
	_, first := beginning(t, g, bearer, messages)
	messages <- rpc.NewResult(rpc.NumberID(7), []byte(`{}`))
	for name, test := range map[string]struct {
		header []string
		status int
	}{
		"nonsense":              {append([]string{"Last-Event-ID", "x"}, bearer...), 400},
		"an event to come":      {append([]string{"Last-Event-ID", "1-999"}, bearer...), 400},
		"an event before all":   {append([]string{"Last-Event-ID", "1--1"}, bearer...), 400},
		"an unknown stream":     {append([]string{"Last-Event-ID", "99-1"}, bearer...), 400},
		"of another session":    {append([]string{"Last-Event-ID", first.ID}, g.session("X-User", "ann")...), 400},
		"by somebody else":      {append([]string{"Last-Event-ID", first.ID}, append(bearer, "X-User", "bob")...), 404},
		"without the session":   {[]string{"Last-Event-ID", first.ID}, 405},
		"of an unknown session": {[]string{"Last-Event-ID", first.ID, "Mcp-Session-Id", "x"}, 404},
	} {
		if a := g.do("GET", "", test.header...); a.status != test.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, test.status)
		}
	}
}

func TestResume517PrimesOnlyWhoKnows(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-03-26", "2025-06-18"} {
		messages := make(chan *rpc.Message, 2)
		messages <- progressed("1")
		messages <- rpc.NewResult(rpc.NumberID(7), []byte(`{}`))
		g := open(t, setup{handle: played(messages)})
		if a := g.do("POST", request("7", "tools/call"), g.sessionOf(revision)...); len(a.events) != 2 || strings.Contains(a.body, "retry:") {
			t.Errorf("%s: %s", revision, a.body)
		}
	}
}
