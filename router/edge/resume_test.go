package edge_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// Streams that begin with an id, break, and are resumed.

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

func TestCorner5_17_ResumeReplaysWhatFollows(t *testing.T) {
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

func TestCorner5_17_ResumeGoesOnLive(t *testing.T) {
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
func TestCorner5_17_ResumeIsRefused(t *testing.T) {
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
		"a number":              {append([]string{"Last-Event-ID", "1-1"}, bearer...), 400},
		"an id that was cut":    {append([]string{"Last-Event-ID", first.ID[:len(first.ID)-2]}, bearer...), 400},
		"a session's id":        {append([]string{"Last-Event-ID", bearer[1]}, bearer...), 400},
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

// Streams of calls have ids in all revisions that say how to resume, and begin with one
// in the latest.
func TestCorner5_17_ResumeOfEachRevision(t *testing.T) {
	t.Parallel()
	for revision, want := range map[string]struct{ resumes, primed bool }{
		"2024-11-05": {}, "2025-03-26": {resumes: true}, "2025-06-18": {resumes: true}, "2025-11-25": {resumes: true, primed: true},
	} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			messages := make(chan *rpc.Message, 3)
			for _, m := range []*rpc.Message{progressed("1"), progressed("2"), rpc.NewResult(rpc.NumberID(7), []byte(`{}`))} {
				messages <- m
			}
			g := open(t, setup{handle: played(messages)})
			bearer := g.sessionOf(revision)
			a := g.do("POST", request("7", "tools/call"), bearer...)
			if primed := strings.Contains(a.body, "retry:"); len(a.events) != 3 || primed != want.primed {
				t.Fatalf("%s", a.body)
			}
			in := frame.NewSSEReader(strings.NewReader(a.body), 1<<20)
			if want.primed {
				_, _ = in.Next()
			}
			first, err := in.Next()
			if err != nil || (first.ID != "") != want.resumes {
				t.Fatalf("first event %+v, %v", first, err)
			}
			if !want.resumes {
				return
			}
			if a = g.do("GET", "", append([]string{"Last-Event-ID", first.ID}, bearer...)...); len(a.events) != 2 || strings.Contains(a.body, "retry:") {
				t.Errorf("the rest: %d %s", a.status, a.body)
			}
		})
	}
}

// A client that left before it was given an id is not waited for: what asks it is
// declined.
func TestCorner5_17_ResumeNeedsAnID(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				messages, answers := make(chan *rpc.Message), make(chan *rpc.Message, 1)
				g := open(t, setup{memory: true, handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
					return rpc.NewReply(play(ctx, messages, answers)), nil
				}})
				bearer := g.sessionOf(revision)
				ctx, hangUp := context.WithCancel(t.Context())
				go func() { _, _ = g.try(ctx, request("7", "tools/call"), bearer...) }()
				synctest.Wait() // the call waits for its server
				hangUp()
				synctest.Wait()
				messages <- rpc.NewRequest(rpc.NumberID(1), "elicitation/create", []byte(`{}`))
				if m := <-answers; m.Err == nil {
					t.Errorf("answer %s", m.AppendTo(nil))
				}
				messages <- rpc.NewResult(rpc.NumberID(7), []byte(`{}`))
			})
		})
	}
}

// eventOf reads one event of a stream.
func eventOf(t *testing.T, in *frame.SSEReader) frame.Event {
	t.Helper()
	ev, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	ev.Data = bytes.Clone(ev.Data)
	return ev
}

// A session's own stream goes on where it broke, whether or not its old connection is
// known to be dead.
func TestCorner5_17_ResumeOfTheStandingStream(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			bearer := g.sessionOf(revision)
			broken, end := g.stand(bearer...)
			defer end()
			if revision == "2025-11-25" {
				eventOf(t, broken)
			}
			for _, kind := range []string{"tools", "prompts"} {
				g.sessions.Broadcast(everywhere, changed(kind))
			}
			first, second := eventOf(t, broken), eventOf(t, broken)
			resumed, endResumed := g.stand(append([]string{"Last-Event-ID", first.ID}, bearer...)...)
			defer endResumed()
			if ev := eventOf(t, resumed); string(ev.Data) != string(second.Data) {
				t.Errorf("behind the first event: %+v, want %s", ev, second.Data)
			}
			if revision == "2025-11-25" {
				eventOf(t, resumed)
			}
			g.sessions.Broadcast(everywhere, changed("resources"))
			if ev := eventOf(t, resumed); !strings.Contains(string(ev.Data), "resources/list_changed") || ev.ID == "" {
				t.Errorf("the stream goes on with %+v", ev)
			}
		})
	}
}

// A standing stream of which nothing is kept any more begins anew: clients take a
// refusal for the end of their session.
func TestCorner5_17_ResumeBeginsStandingStreamsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true})
		bearer := g.session()
		broken, end := g.stand(bearer...)
		prime := eventOf(t, broken)
		end()
		time.Sleep(10 * time.Minute)
		g.sessions.Broadcast(everywhere, changed("tools"))
		again, end := g.listen(append([]string{"Last-Event-ID", prime.ID}, bearer...)...)
		defer end()
		if got := method(t, again); got != "notifications/tools/list_changed" {
			t.Errorf("got %s", got)
		}
		other := g.session()
		if a := g.do("GET", "", append([]string{"Last-Event-ID", prime.ID}, other...)...); a.status != http.StatusBadRequest {
			t.Errorf("in another session: %d %s", a.status, a.body)
		}
	})
}

// The stream of a batch is one of the revision's streams too.
func TestCorner5_17_ResumeOfABatch(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		messages := make(chan *rpc.Message, 2)
		messages <- progressed("1")
		messages <- rpc.NewResult(c.Message.ID, []byte(`{}`))
		return rpc.NewReply(play(ctx, messages, nil)), nil
	}})
	bearer := g.sessionOf(batchRevision)
	a := g.do("POST", "["+request("1", "tools/call")+","+request("2", "tools/call")+"]", bearer...)
	first := eventOf(t, frame.NewSSEReader(strings.NewReader(a.body), 1<<20))
	rest := g.do("GET", "", append([]string{"Last-Event-ID", first.ID}, bearer...)...)
	if diff := cmp.Diff(a.events[1:], rest.events); diff != "" || len(rest.events) != 3 {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}
