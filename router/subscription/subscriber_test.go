package subscription

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// respond makes a call and returns the text of its response.
func (s *stage) respond(t *testing.T, c *rpc.Call) string {
	t.Helper()
	reply, err := s.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	return string(m.AppendTo(nil))
}

func TestLegacyClientsSubscribe(t *testing.T) {
	t.Parallel()
	s := newStage()
	for _, uri := range []string{"a://h/d", "two:t", "ui://two+u", "a://h/d"} {
		if got := s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"`+uri+`"}`)); got != `{"jsonrpc":"2.0","id":1,"result":{}}` {
			t.Errorf("%s: %s", uri, got)
		}
	}
	if s.one.holds() != "a://h/d" || s.two.holds() != "two:t two:u" {
		t.Errorf("asked for %q and %q", s.one.holds(), s.two.holds())
	}
	s.Updated("two", updated(t, `{"uri":"two:u","_meta":{"io.modelcontextprotocol/subscriptionId":9}}`))
	s.Updated("two", updated(t, `{"uri":"two:u/part","title":"x"}`))
	s.Updated("one", updated(t, `{"uri":"a://h/d/e/f"}`))
	s.Updated("one", updated(t, `{"uri":"a://h/dd"}`))       // a neighbour, no part
	s.Updated("one", updated(t, `{"uri":"a://h/d/secret"}`)) // a part that is not for this client
	s.Updated("one", updated(t, `{"uri":3}`))
	want := []string{
		`s1 {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"ui://two+u"}}`,
		`s1 {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"ui://two+u/part","title":"x"}}`,
		`s1 {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://h/d/e/f"}}`,
	}
	if diff := cmp.Diff(want, s.posted); diff != "" {
		t.Error(diff)
	}
	for range 2 { // the second time it is not there any more
		if got := s.respond(t, call(t, mcp.Unsubscribe, "2", `{"uri":"two:t"}`)); !strings.Contains(got, `"result":{}`) {
			t.Errorf("got %s", got)
		}
	}
	if s.two.holds() != "two:u" {
		t.Errorf("asked for %q", s.two.holds())
	}
	s.EndSession("s1")
	s.EndSession("s1")
	if s.one.holds()+s.two.holds() != "" || len(s.topics)+len(s.sessions) != 0 {
		t.Error("something is held after the session")
	}
}

func TestSubscribeThatIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage()
	want := `{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no such resource"}}`
	if diff := cmp.Diff(want, s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"forbidden:x"}`))); diff != "" {
		t.Error(diff)
	}
	for _, params := range []string{`{}`, `{"uri":1}`, `{"uri":"unknown:x"}`, `{"uri":"` + strings.Repeat("x", maxURI+1) + `"}`} {
		if _, err := s.Handle(t.Context(), call(t, mcp.Subscribe, "1", params)); rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%.60s: %v", params, err)
		}
	}
	if len(s.topics)+len(s.sessions) != 0 {
		t.Error("something is held")
	}
}

// Two URIs of one resource: both are told of, and giving up one leaves the other.
func TestCorner5_6_TwoNamesOfOneResource(t *testing.T) {
	t.Parallel()
	s := newStage()
	for _, uri := range []string{"two:u", "ui://two+u"} {
		s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"`+uri+`"}`))
	}
	s.Updated("two", updated(t, `{"uri":"two:u"}`))
	if diff := cmp.Diff(updates("two:u", "ui://two+u"), s.told()); diff != "" {
		t.Error(diff)
	}
	s.respond(t, call(t, mcp.Unsubscribe, "1", `{"uri":"ui://two+u"}`))
	s.Updated("two", updated(t, `{"uri":"two:u"}`))
	if len(s.posted) != 1 || !strings.Contains(s.posted[0], `"two:u"`) || s.two.holds() != "two:u" {
		t.Errorf("told %v, asked for %q", s.posted, s.two.holds())
	}
}

// Corner case 5.23: an upstream that hangs costs the client a few seconds, no more.
func TestCorner5_23_UpstreamThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.two.hangs = true
		s.listening(t.Context(), t, "1", `{"resourceSubscriptions":["two:t","a:1"]}`, `{"resourceSubscriptions":["a:1"]}`)
		_, err := s.Handle(t.Context(), call(t, mcp.Subscribe, "1", `{"uri":"two:t"}`))
		if rpc.AsError(err).Code != rpc.UpstreamTimeout {
			t.Errorf("got %v", err)
		}
	})
}

// To an upstream all sessions are one subscriber. What one of them gives up, or leaves behind, another still has.
func TestCorner5_35_SubscriptionsAreEachSessionsOwn(t *testing.T) {
	t.Parallel()
	s := newStage()
	as := func(session, user, method, uri string) {
		c := call(t, method, "1", `{"uri":"`+uri+`"}`)
		c.Client.Session, c.Principal.User = session, user
		s.respond(t, c)
	}
	told := func(want ...string) {
		t.Helper()
		s.posted = nil
		s.Updated("one", updated(t, `{"uri":"a:1"}`))
		var sessions []string
		for _, line := range s.posted {
			session, _, _ := strings.Cut(line, " ")
			sessions = append(sessions, session)
		}
		slices.Sort(sessions)
		if diff := cmp.Diff(want, sessions); diff != "" {
			t.Error(diff)
		}
	}
	as("alice's", "alice", mcp.Subscribe, "a:1")
	as("bob's", "bob", mcp.Subscribe, "a:1")
	as("carol's", "carol", mcp.Subscribe, "a:2")
	told("alice's", "bob's")
	as("carol's", "carol", mcp.Unsubscribe, "a:1") // which is not hers
	told("alice's", "bob's")
	as("alice's", "alice", mcp.Unsubscribe, "a:1")
	told("bob's")
	s.EndSession("carol's")
	told("bob's")
	s.EndSession("bob's")
	told()
	if s.one.holds() != "" {
		t.Errorf("asked for %q", s.one.holds())
	}
}

// A session that ends while an upstream is asked leaves nothing behind.
func TestSessionEndsWhileItSubscribes(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.one.early = func() { s.EndSession("s1") }
	s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"a:1"}`))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Handle(ended, call(t, mcp.Subscribe, "1", `{"uri":"a:2"}`)); err == nil {
		t.Error("an ended session subscribed")
	}
	if s.one.holds() != "" || len(s.topics)+len(s.sessions) != 0 {
		t.Errorf("asked for %q", s.one.holds())
	}
}

func TestSubscriptionsOfOneSessionAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage()
	for i := range maxURIs {
		s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"a:`+string(rpc.AppendInt(nil, int64(i)))+`"}`))
	}
	if _, err := s.Handle(t.Context(), call(t, mcp.Subscribe, "1", `{"uri":"a:x"}`)); rpc.AsError(err).Code != rpc.Busy {
		t.Errorf("got %v", err)
	}
}

func TestAncestors(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string][]string{
		"a:1":             {"a:1"},
		"file:///a/b":     {"file:///a/b", "file:///a/", "file:///a"},
		"a://h/d/":        {"a://h/d/", "a://h/d", "a://h/", "a://h"},
		"a://h/d?q=1#top": {"a://h/d?q=1#top", "a://h/d?q=1#", "a://h/d?q=1", "a://h/d?", "a://h/d", "a://h/", "a://h"},
		"":                {""},
		"/":               {"/"},
	} {
		if diff := cmp.Diff(want, slices.Collect(ancestors(uri))); diff != "" {
			t.Errorf("%s: %s", uri, diff)
		}
	}
	if n := len(slices.Collect(ancestors("a:" + strings.Repeat("/x", 1000)))); n > 2*maxSegments+1 {
		t.Errorf("%d", n)
	}
}

// A client that asks twice at once is told twice what the upstream said, not that it agreed before it did.
func TestTwoRequestsForOneResource(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{"a:1": `"result":{}`, "forbidden:x": `"code":-32002`} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			asked := 0
			second := make(chan string, 1)
			s.one.early = func() {
				if asked++; asked > 1 {
					return
				}
				go func() { second <- s.respond(t, call(t, mcp.Subscribe, "2", `{"uri":"`+uri+`"}`)) }()
				synctest.Wait()
				if len(second) > 0 {
					t.Errorf("%s: answered before the upstream: %s", uri, <-second)
				}
			}
			first := s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"`+uri+`"}`))
			if got := <-second; !strings.Contains(first, want) || !strings.Contains(got, want) {
				t.Errorf("%s: %s, then %s", uri, first, got)
			}
			s.EndSession("s1")
			if s.one.holds() != "" || len(s.topics)+len(s.sessions) != 0 {
				t.Errorf("%s: something is held", uri)
			}
		})
	}
}
