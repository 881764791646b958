package subscription

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// teller is an upstream that tells of all resources but those called forbidden.
type teller struct {
	mu     sync.Mutex
	held   map[string]int
	hangs  bool
	grants bool   // it tells of those too
	early  func() // called before it agrees
	told   []func()
}

func (u *teller) Subscribe(ctx context.Context, uris []string) ([]string, error) {
	if u.hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if u.early != nil {
		u.early()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var agreed []string
	for _, uri := range uris {
		if strings.HasPrefix(uri, "forbidden:") && !u.grants {
			continue
		}
		u.held[uri]++
		agreed = append(agreed, uri)
	}
	if agreed == nil {
		return nil, &rpc.WireError{Code: -32002, Message: "no such resource"}
	}
	return agreed, nil
}

func (u *teller) Resubscribe(uris []string, told func(refused []string)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, uri := range uris {
		u.held[uri]++
	}
	u.told = append(u.told, func() {
		told(slices.DeleteFunc(slices.Clone(uris), func(uri string) bool { return !strings.HasPrefix(uri, "forbidden:") }))
	})
}

// answers lets the upstream answer to all that it was asked for again.
func (u *teller) answers() {
	u.mu.Lock()
	all := u.told
	u.told = nil
	u.mu.Unlock()
	for _, told := range all {
		told()
	}
}

func (u *teller) Follow(ctx context.Context, tasks []string) ([]string, error) {
	for i, id := range tasks {
		tasks[i] = "task:" + id
	}
	agreed, err := u.Subscribe(ctx, tasks)
	for i, id := range agreed {
		agreed[i] = strings.TrimPrefix(id, "task:")
	}
	return agreed, err
}

func (u *teller) Unfollow(tasks []string) {
	for i, id := range tasks {
		tasks[i] = "task:" + id
	}
	u.Unsubscribe(tasks)
}

func (u *teller) Unsubscribe(uris []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, uri := range uris {
		if u.held[uri]--; u.held[uri] == 0 {
			delete(u.held, uri)
		}
	}
}

// holds returns what the upstream is asked to tell of.
func (u *teller) holds() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for uri, n := range u.held {
		out = append(out, strings.Repeat(uri+" ", n))
	}
	slices.Sort(out)
	return strings.TrimSpace(strings.Join(out, ""))
}

// stage is a registry before two upstreams, one and two. URIs that begin with "two"
// are the second one's, and "ui://two+x" is its own "two:x".
type stage struct {
	*Registry
	one, two *teller
	mu       sync.Mutex
	posted   []string
	stored   map[string]state.ResourceSubscription // by session and URI
	broken   error                                 // of what stores
	early    func()                                // called before something is stored
}

func (s *stage) Subscribed(_ context.Context, session string, sub state.ResourceSubscription) error {
	if s.early != nil {
		s.early()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.stored[session+" "+sub.URI] = sub
	}
	return s.broken
}

func (s *stage) Unsubscribed(_ context.Context, session, uri string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stored, session+" "+uri)
	return s.broken
}

// told returns what was posted, and forgets it.
func (s *stage) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.posted
	s.posted = nil
	slices.Sort(out)
	return out
}

func newStage() *stage {
	s := &stage{one: &teller{held: map[string]int{}}, two: &teller{held: map[string]int{}}, stored: map[string]state.ResourceSubscription{}}
	s.Registry = New(Deps{
		Log: slog.New(slog.DiscardHandler), Upstreams: map[string]Upstream{"one": s.one, "two": s.two},
		Locate: func(_ context.Context, _ *rpc.Call, uri string) *rpc.Target {
			own, renamed := strings.CutPrefix(uri, "ui://two+")
			switch {
			case renamed:
				return &rpc.Target{Upstream: "two", Own: "two:" + own}
			case strings.HasPrefix(uri, "unknown:"):
				return &rpc.Target{Own: uri}
			case strings.HasPrefix(uri, "two:"):
				return &rpc.Target{Upstream: "two", Own: uri}
			}
			return &rpc.Target{Upstream: "one", Own: uri}
		},
		Task: func(_ *rpc.Call, id string) *rpc.Target {
			if own, known := strings.CutPrefix(id, "sealed "); known {
				return &rpc.Target{Kind: rpc.Task, Upstream: "two", Own: own}
			}
			return nil
		},
		Expose: func(_ context.Context, c *rpc.Call, upstream string, m *rpc.Message) *rpc.Message {
			out := m.Clone()
			out.Set("exposed", rpc.AppendString(nil, upstream+c.Endpoint))
			return out
		},
		Shows: func(c *rpc.Call, upstream, own string) bool {
			return (c.Endpoint == "/mcp" || upstream == "one") && !strings.HasSuffix(own, "/secret")
		}, Store: s,
		Post: func(session string, m *rpc.Message) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.posted = append(s.posted, session+" "+string(m.AppendTo(nil)))
		},
	})
	return s
}

func call(t *testing.T, method, id, params string) *rpc.Call {
	t.Helper()
	m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":`+id+`,"method":"`+method+`","params":`+params+`}`), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	client := rpc.Client{Era: rpc.Legacy, Revision: mcp.LatestLegacy, Session: "s1"}
	if method == mcp.Listen {
		client = rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}
	}
	row, ok := mcp.Lookup(method, client.Revision)
	if !ok {
		t.Fatal("no row for", method)
	}
	return &rpc.Call{Message: m, Method: row, Client: client, Endpoint: "/mcp"}
}

// listening opens a stream and returns it after its acknowledgement.
func (s *stage) listening(ctx context.Context, t *testing.T, id, filter, ack string) *rpc.Reply {
	t.Helper()
	reply, err := s.Handle(ctx, call(t, mcp.Listen, id, `{"notifications":`+filter+`}`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reply.Close() })
	want := `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":` + ack +
		`,"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `}}}`
	expect(t, reply, want)
	return reply
}

func expect(t *testing.T, reply *rpc.Reply, want string) {
	t.Helper()
	m, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(m.AppendTo(nil))); diff != "" {
		t.Error(diff)
	}
}

func updated(t *testing.T, params string) *rpc.Message {
	t.Helper()
	return rpc.NewNotification(mcp.ResourceUpdated, []byte(params))
}

func everywhere(string) bool { return true }

// Example A4 of a stream over two upstreams; ids and tags are the client's bytes.
func TestCorner5_23_ListenOverTwoUpstreams(t *testing.T) {
	t.Parallel()
	s := newStage()
	reply := s.listening(t.Context(), t, `"3\u0030"`,
		`{"toolsListChanged":true,"promptsListChanged":false,"future":[],"resourceSubscriptions":["file:///a","two:t","file:///a","forbidden:x","unknown:y"]}`,
		`{"toolsListChanged":true,"resourceSubscriptions":["file:///a","two:t"]}`)
	if s.one.holds() != "file:///a" || s.two.holds() != "two:t" {
		t.Errorf("asked for %q and %q", s.one.holds(), s.two.holds())
	}
	tag := `"_meta":{"io.modelcontextprotocol/subscriptionId":"3\u0030"}`
	s.Updated("two", updated(t, `{"uri":"two:t","x": 1.0,"_meta":{"io.modelcontextprotocol/subscriptionId":9}}`))
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"two:t","x": 1.0,`+tag+`}}`)
	s.Updated("one", updated(t, `{"uri":"two:t"}`)) // not its own
	s.Updated("one", updated(t, `{"uri":"file:///b"}`))
	s.Updated("one", updated(t, `{"uri":"file:///a/secret"}`)) // a part that is not for this client
	s.Broadcast(everywhere, mcp.PromptsChanged)
	s.Broadcast(func(string) bool { return false }, mcp.ToolsChanged)
	s.Broadcast(everywhere, mcp.ToolsChanged)
	s.Broadcast(everywhere, mcp.ToolsChanged) // the same waits already
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{`+tag+`}}`)
	s.EndStreams()
	expect(t, reply, `{"jsonrpc":"2.0","id":"3\u0030","result":{"resultType":"complete",`+tag+`}}`)
	if _, err := reply.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the result: %v", err)
	}
	_ = reply.Close()
	if s.one.holds()+s.two.holds() != "" || len(s.topics)+len(s.listens) != 0 {
		t.Error("something is held after the end")
	}
	if _, err := s.Handle(t.Context(), call(t, mcp.Listen, "1", `{"notifications":{}}`)); rpc.AsError(err).Code != rpc.Draining {
		t.Errorf("after the end of all: %v", err)
	}
}

// Corner case 5.23: nothing comes before the acknowledgement.
func TestCorner5_23_AcknowledgementIsFirst(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.one.early = func() {
		s.Updated("one", updated(t, `{"uri":"a:1"}`))
		s.Broadcast(everywhere, mcp.ToolsChanged)
	}
	reply := s.listening(t.Context(), t, "7", `{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}`,
		`{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}`)
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}`)
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}`)
}

func TestCorner5_23_ListenThatAsksForNothing(t *testing.T) {
	t.Parallel()
	s := newStage()
	ctx, cancel := context.WithCancel(t.Context())
	reply := s.listening(ctx, t, "1", `{}`, `{}`)
	cancel()
	if _, err := reply.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestListenRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newStage()
	for _, params := range []string{
		`{}`, `{"notifications":[]}`, `{"notifications":{"toolsListChanged":1}}`, `{"notifications":{"resourceSubscriptions":"a"}}`,
		`{"notifications":{"resourceSubscriptions":[1]}}`, `{"notifications":{"a":1,"a":2}}`,
		`{"notifications":{"resourceSubscriptions":["a"` + strings.Repeat(`,"a"`, maxURIs) + `]}}`,
	} {
		if _, err := s.Handle(t.Context(), call(t, mcp.Listen, "1", params)); rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%.80s: %v", params, err)
		}
	}
}

func TestStreamsOfOnePrincipalAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage()
	open := func(user string) error {
		c := call(t, mcp.Listen, "1", `{"notifications":{}}`)
		c.Principal.User = user
		reply, err := s.Handle(t.Context(), c)
		if err == nil {
			t.Cleanup(func() { _ = reply.Close() })
		}
		return err
	}
	for range maxListens {
		if err := open("alice"); err != nil {
			t.Fatal(err)
		}
	}
	if err := open("alice"); rpc.AsError(err).Code != rpc.Busy {
		t.Errorf("one too many: %v", err)
	}
	if err := open("bob"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func TestStreamEndsWithTheCredential(t *testing.T) {
	t.Parallel()
	s := newStage()
	c := call(t, mcp.Listen, "1", `{"notifications":{}}`)
	c.Principal.Expires = time.Now().Add(-time.Second)
	reply, err := s.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	for m, err := reply.Next(); !m.IsResponse(); m, err = reply.Next() {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A client that does not read is sent away rather than told half.
func TestStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	s := newStage()
	reply := s.listening(t.Context(), t, "1", `{"resourceSubscriptions":["a://h/d"]}`, `{"resourceSubscriptions":["a://h/d"]}`)
	for i := range maxWaiting + 10 {
		s.Updated("one", updated(t, `{"uri":"a://h/d/`+string(rpc.AppendInt(nil, int64(i)))+`"}`))
	}
	told := 0
	for {
		m, err := reply.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m.IsResponse() {
			break
		}
		told++
	}
	if told != maxWaiting {
		t.Errorf("told %d times", told)
	}
}
