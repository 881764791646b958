package subscription

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// updates are what a session is told when resources have changed.
func updates(uris ...string) []string {
	var out []string
	for _, uri := range uris {
		out = append(out, `s1 {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"`+uri+`"}}`)
	}
	return out
}

var twoSubscriptions = []state.ResourceSubscription{
	{URI: "a:1", Upstream: "one", Own: "a:1"}, {URI: "ui://two+u", Upstream: "two", Own: "two:u"},
}

// 5.16: what a session has subscribed to is stored when the upstream has agreed, and
// until it is given up.
func TestSubscriptionsAreStored(t *testing.T) {
	t.Parallel()
	s := newStage()
	for _, uri := range []string{"a:1", "ui://two+u", "forbidden:x", "a:1"} {
		s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"`+uri+`"}`))
	}
	want := map[string]state.ResourceSubscription{"s1 a:1": twoSubscriptions[0], "s1 ui://two+u": twoSubscriptions[1]}
	if diff := cmp.Diff(want, s.stored); diff != "" {
		t.Error(diff)
	}
	s.respond(t, call(t, mcp.Unsubscribe, "1", `{"uri":"a:1"}`))
	delete(want, "s1 a:1")
	if diff := cmp.Diff(want, s.stored); diff != "" {
		t.Error(diff)
	}
}

// What could not be stored is not acknowledged, and not held either.
func TestSubscriptionThatIsNotStored(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.broken = rpc.Errorf(rpc.Internal, "the disk is gone")
	if _, err := s.Handle(t.Context(), call(t, mcp.Subscribe, "1", `{"uri":"a:1"}`)); !errors.Is(err, s.broken) {
		t.Errorf("subscribe: %v", err)
	}
	if s.one.holds() != "" || len(s.topics)+len(s.sessions) != 0 {
		t.Errorf("%q is held", s.one.holds())
	}
}

// A subscription that is given up while it is stored is not there afterwards.
func TestSubscriptionThatIsGivenUpWhileItIsStored(t *testing.T) {
	t.Parallel()
	s := newStage()
	unsubscribed := make(chan struct{})
	s.early = func() {
		s.early = nil
		go func() {
			defer close(unsubscribed)
			_, err := s.Handle(t.Context(), call(t, mcp.Unsubscribe, "2", `{"uri":"a:1"}`))
			if err != nil {
				t.Error(err)
			}
		}()
	}
	s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"a:1"}`))
	<-unsubscribed
	if len(s.stored) != 0 || s.one.holds() != "" {
		t.Errorf("stored %v, asked for %q", s.stored, s.one.holds())
	}
}

// 5.16: a later process subscribes anew, and says that everything may have changed when
// the upstream tells of changes again, not before.
func TestSubscriptionsAreTakenUpAgain(t *testing.T) {
	t.Parallel()
	s := newStage()
	c := call(t, mcp.Ping, "1", `{}`)
	c.Client.Session = "s1"
	s.Restore(t.Context(), c, append([]state.ResourceSubscription{
		{URI: "forbidden:x", Upstream: "one", Own: "forbidden:x"}, {URI: "b:1", Upstream: "gone", Own: "b:1"},
	}, twoSubscriptions...))
	if s.one.holds() != "a:1 forbidden:x" || s.two.holds() != "two:u" || len(s.told()) != 0 {
		t.Errorf("asked for %q and %q", s.one.holds(), s.two.holds())
	}
	s.one.answers()
	if diff := cmp.Diff(updates("a:1"), s.told()); diff != "" {
		t.Error(diff)
	}
	s.two.answers()
	if diff := cmp.Diff(updates("ui://two+u"), s.told()); diff != "" {
		t.Error(diff)
	}
	if s.one.holds() != "a:1" {
		t.Errorf("after the answer %q is asked for", s.one.holds())
	}
	s.Updated("two", updated(t, `{"uri":"two:u"}`))
	if diff := cmp.Diff(updates("ui://two+u"), s.told()); diff != "" {
		t.Error(diff)
	}
	s.EndSession("s1")
	if s.one.holds()+s.two.holds() != "" || len(s.topics)+len(s.sessions) != 0 {
		t.Error("something is held after the session")
	}
}

// An endpoint that does not show an upstream any more tells nothing of it.
func TestSubscriptionsOfAnUpstreamThatIsNotShownAnyMore(t *testing.T) {
	t.Parallel()
	s := newStage()
	c := call(t, mcp.Ping, "1", `{}`)
	c.Client.Session, c.Endpoint = "s1", "/narrow"
	s.Restore(t.Context(), c, twoSubscriptions)
	if s.one.holds() != "a:1" || s.two.holds() != "" {
		t.Errorf("asked for %q and %q", s.one.holds(), s.two.holds())
	}
}

// What is given up before the upstream answers stays given up, and is given up once.
func TestResubscriptionThatIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.respond(t, call(t, mcp.Subscribe, "1", `{"uri":"two:t"}`)) // another's, which must stay
	c := call(t, mcp.Ping, "1", `{}`)
	c.Client.Session = "s1"
	s.Restore(t.Context(), c, append(twoSubscriptions, state.ResourceSubscription{URI: "forbidden:x", Upstream: "one", Own: "forbidden:x"}))
	for _, uri := range []string{"a:1", "forbidden:x"} {
		if got := s.respond(t, call(t, mcp.Unsubscribe, "2", `{"uri":"`+uri+`"}`)); !strings.Contains(got, `"result":{}`) {
			t.Errorf("got %s", got)
		}
	}
	s.EndSession("s1")
	s.one.answers()
	s.two.answers()
	if len(s.told()) != 0 || s.one.holds()+s.two.holds() != "" || len(s.one.held)+len(s.two.held) != 0 {
		t.Errorf("told of or asked for what was given up: %q, %q, %v", s.one.holds(), s.two.holds(), s.one.held)
	}
}
