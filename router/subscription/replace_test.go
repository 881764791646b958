package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// What is wanted of an upstream is wanted of the one that takes its place, counts as changed, and is given up there.
func TestReplacedUpstreamsAreAskedAnew(t *testing.T) {
	t.Parallel()
	s := newStage()
	ask(t, s, mcp.Subscribe, "a:1")
	ask(t, s, mcp.Subscribe, "two:t")
	reply := s.listening(t.Context(), t, "1", `{"resourceSubscriptions":["a:1","a:2"]}`, `{"resourceSubscriptions":["a:1","a:2"]}`)
	next := &teller{held: map[string]int{}}
	s.Replace(map[string]Upstream{"one": next, "two": s.two})
	if got := next.holds(); got != "a:1 a:1 a:2" || s.two.holds() != "two:t" {
		t.Errorf("asked for %q, and of the other for %q", got, s.two.holds())
	}
	next.answers()
	s.two.answers()
	want := []string{`s1 {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}`}
	if diff := cmp.Diff(want, s.told()); diff != "" {
		t.Error(diff)
	}
	for _, uri := range []string{"a:1", "a:2"} {
		expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"`+uri+`","_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`)
	}
	_ = reply.Close()
	ask(t, s, mcp.Unsubscribe, "a:1")
	if next.holds() != "" {
		t.Errorf("%q is held in the end", next.holds())
	}
}

// Of an upstream that went, what was wanted is asked of the next one of its name; until then it can be given up.
func TestUpstreamsThatGoAndComeBack(t *testing.T) {
	t.Parallel()
	s := newStage()
	ask(t, s, mcp.Subscribe, "a:1")
	ask(t, s, mcp.Subscribe, "a:2")
	s.Replace(map[string]Upstream{"two": s.two})
	if _, err := s.Handle(t.Context(), call(t, mcp.Subscribe, "1", `{"uri":"a:3"}`)); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("of nobody: %v", err)
	}
	ask(t, s, mcp.Unsubscribe, "a:2")
	next := &teller{held: map[string]int{}}
	s.Replace(map[string]Upstream{"one": next, "two": s.two})
	if next.holds() != "a:1" {
		t.Errorf("asked for %q", next.holds())
	}
	s.EndSession("s1")
	if next.holds() != "" || len(s.topics)+len(s.sessions) > 0 {
		t.Errorf("%q is held in the end", next.holds())
	}
}

// Who takes the place of another one while that is being asked is asked too.
func TestReplacedWhileItIsAsked(t *testing.T) {
	t.Parallel()
	s := newStage()
	next := &teller{held: map[string]int{}}
	s.one.early = func() { s.Replace(map[string]Upstream{"one": next, "two": s.two}) }
	ask(t, s, mcp.Subscribe, "a:1")
	if next.holds() != "a:1" {
		t.Errorf("asked for %q", next.holds())
	}
	reply := s.listening(t.Context(), t, "1", `{"resourceSubscriptions":["a:1"]}`, `{"resourceSubscriptions":["a:1"]}`)
	_ = reply.Close()
	s.EndSession("s1")
	if next.holds() != "" {
		t.Errorf("%q is held in the end", next.holds())
	}
}

// What the new one refuses is wanted no more.
func TestReplacedByOneThatRefuses(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.one.grants = true
	ask(t, s, mcp.Subscribe, "forbidden:1")
	next := &teller{held: map[string]int{}}
	s.Replace(map[string]Upstream{"one": next, "two": s.two})
	next.answers()
	if next.holds() != "" || len(s.topics)+len(s.sessions) > 0 {
		t.Errorf("%q is held in the end", next.holds())
	}
}

// A task that a stream is about is followed at the one that takes the place of its upstream.
func TestTasksOfReplacedUpstreams(t *testing.T) {
	t.Parallel()
	s := newStage()
	c := call(t, mcp.Listen, "1", `{"notifications":{"taskIds":["sealed t"]}}`)
	c.Client.Capabilities = []byte(`{"extensions":{"io.modelcontextprotocol/tasks":{}}}`)
	reply, err := s.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reply.Next(); err != nil {
		t.Fatal(err)
	}
	next := &teller{held: map[string]int{}}
	asked := make(chan struct{})
	next.early = func() { close(asked) }
	s.Replace(map[string]Upstream{"one": s.one, "two": next})
	<-asked
	for held := false; !held; { // noted by another goroutine
		s.Registry.mu.Lock()
		for l := range s.listens {
			held = len(l.held) == 1
		}
		s.Registry.mu.Unlock()
	}
	_ = reply.Close()
	if next.holds() != "" || len(s.topics) > 0 {
		t.Errorf("%q is held in the end", next.holds())
	}
}

// ask subscribes, or gives up.
func ask(t *testing.T, s *stage, method, uri string) {
	t.Helper()
	reply, err := s.Handle(t.Context(), call(t, method, "1", `{"uri":"`+uri+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Close()
}
