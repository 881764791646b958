package bridge

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// talker is a legacy server whose calls say what they are told to say.
type talker struct {
	calls    chan *spoken
	revision rpc.Revision
}

// spoken is one call on a talker.
type spoken struct {
	ctx     context.Context
	call    *rpc.Call
	says    chan *rpc.Message
	mu      sync.Mutex
	answers []string
	over    chan struct{} // closed with the response
	closed  chan struct{}
}

func newTalker() *talker { return &talker{make(chan *spoken, 100), mcp.LatestLegacy} }

func (s *talker) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	p := &spoken{ctx: ctx, call: c, says: make(chan *rpc.Message, 100), over: make(chan struct{}), closed: make(chan struct{})}
	s.calls <- p
	reply := rpc.NewReply(p)
	reply.Revision = s.revision
	return reply, nil
}

func (p *spoken) Next() (*rpc.Message, error) {
	select {
	case m := <-p.says:
		if m == nil {
			return nil, rpc.Errorf(rpc.UpstreamDown, "it died")
		}
		if m.IsResponse() {
			m.SetID(p.call.Message.ID)
			m.ID = p.call.Message.ID
			close(p.over)
		}
		return m, nil
	case <-p.over:
		return nil, io.EOF
	case <-p.closed:
		return nil, errors.New("closed")
	case <-p.ctx.Done():
		return nil, context.Cause(p.ctx)
	}
}

func (p *spoken) Answer(m *rpc.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, string(m.AppendTo(nil)))
	return nil
}

func (p *spoken) Close() error { close(p.closed); return nil }

func (p *spoken) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.answers, "\n")
}

func (p *spoken) say(t *testing.T, text string) {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p.says <- m
}

const (
	everything = `{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}`
	askName    = `{"jsonrpc":"2.0","id":"s1","method":"elicitation/create","params":{"message":"name?","requestedSchema":{"type":"object","properties":{}}}}`
	askURL     = `{"jsonrpc":"2.0","id":"s2","method":"elicitation/create","params":{"mode":"url","elicitationId":"e1","message":"go","url":"https://x"}}`
	askRoots   = `{"jsonrpc":"2.0","id":3,"method":"roots/list"}`
	done       = `{"jsonrpc":"2.0","id":77,"result":{"content":[]}}`
)

// parking is a modern client of one bridge and one server.
type parking struct {
	bridge *Bridge
	server *talker
	caps   string
	who    rpc.Principal
}

func newParking(t *testing.T, cfg Config) *parking {
	t.Helper()
	p := &parking{bridge: newBridge(t, cfg), server: newTalker(), caps: everything}
	t.Cleanup(func() {
		if err := p.bridge.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return p
}

// request makes a request; more are further members of its params.
func (p *parking) request(t *testing.T, ctx context.Context, id, more string) (*rpc.Reply, error) {
	t.Helper()
	c := callOf(t, mcp.LatestModern, p.caps, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"t","arguments":{"a":1,"b":[2]}`+more+`}}`)
	c.Principal = p.who
	return p.bridge.Cross(p.server).Handle(ctx, c)
}

// outcome reads a reply to its end and closes it.
func outcome(t *testing.T, reply *rpc.Reply, err error) (notes []string, response string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	for {
		m, err := reply.Next()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(m.AppendTo(nil)); m.IsResponse() {
			if _, err := reply.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the response: %v", err)
			}
			return notes, text
		} else {
			notes = append(notes, text)
		}
	}
}

var stateIn = regexp.MustCompile(`"requestState":("[^"]*")`)

func stateOf(t *testing.T, response string) string {
	t.Helper()
	found := stateIn.FindStringSubmatch(response)
	if found == nil || !strings.Contains(response, `"resultType":"input_required"`) {
		t.Fatalf("no input is required: %s", response)
	}
	return found[1]
}

func bare(response string) string { return stateIn.ReplaceAllString(response, `"requestState":"S"`) }

func TestQuestionsParkTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, `,"_meta":{"progressToken":"first"}`)
		call := <-p.server.calls
		call.say(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"first","progress":1}}`)
		call.say(t, askName)
		call.say(t, askURL)
		call.say(t, askRoots)
		notes, first := outcome(t, reply, err)
		if len(notes) != 1 {
			t.Errorf("notes %q", notes)
		}
		want := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{` +
			`"q1":{"method":"elicitation/create","params":{"message":"name?","requestedSchema":{"type":"object","properties":{}}}},` +
			`"q2":{"method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x"}},` +
			`"q3":{"method":"roots/list","params":{}}},"requestState":"S"}}`
		if bare(first) != want {
			t.Errorf("first\n got %s\nwant %s", bare(first), want)
		}
		if call.ctx.Err() != nil {
			t.Error("the call was cancelled")
		}

		// One answer is missing: the client is asked again for it, and nothing twice.
		reply, err = p.request(t, t.Context(), `"two"`, `,"inputResponses":{"q1":{"action":"accept","content":{"n":1.0}},"q3":{"roots":[]},"zz":{}},"requestState":`+stateOf(t, first))
		_, second := outcome(t, reply, err)
		if !strings.Contains(second, `"inputRequests":{"q2":{`) || strings.Contains(second, `"q1"`) || !strings.Contains(second, `"id":"two"`) {
			t.Errorf("second %s", second)
		}
		call.say(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"first","progress":2}}`)
		reply, err = p.request(t, t.Context(), `3`, `,"_meta":{"progressToken":7},"inputResponses":{"q2":{"action":"decline"}},"requestState":`+stateOf(t, second))
		go func() { time.Sleep(time.Second); call.say(t, done) }()
		notes, last := outcome(t, reply, err)
		if want := `{"jsonrpc":"2.0","id":3,"result":{"content":[],"resultType":"complete"}}`; last != want {
			t.Errorf("last %s", last)
		}
		if len(notes) != 1 || !strings.Contains(notes[0], `"progressToken":7`) {
			t.Errorf("notes %q", notes)
		}
		if want := `{"jsonrpc":"2.0","id":"s1","result":{"action":"accept","content":{"n":1.0}}}` + "\n" +
			`{"jsonrpc":"2.0","id":3,"result":{"roots":[]}}` + "\n" + `{"jsonrpc":"2.0","id":"s2","result":{"action":"decline"}}`; call.heard() != want {
			t.Errorf("the server heard\n%s", call.heard())
		}
		<-call.closed
	})
}

func TestARetryThatCameTwiceAnswersOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		call := <-p.server.calls
		call.say(t, askName)
		_, first := outcome(t, reply, err)
		more := `,"inputResponses":{"q1":{"action":"accept"}},"requestState":` + stateOf(t, first)
		one, err := p.request(t, t.Context(), `2`, more)
		if err != nil {
			t.Fatal(err)
		}
		two, err := p.request(t, t.Context(), `3`, more)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Close(); err != nil || call.ctx.Err() != nil {
			t.Error("one of two went away: the call goes on", err)
		}
		call.say(t, done)
		if _, got := outcome(t, two, nil); !strings.Contains(got, `"id":3,"result":{"content":[]`) {
			t.Error(got)
		}
		late, err := p.request(t, t.Context(), `4`, more)
		if _, got := outcome(t, late, err); !strings.Contains(got, `"id":4,"result":{"content":[]`) {
			t.Error(got)
		}
		if n := strings.Count(call.heard(), "accept"); n != 1 {
			t.Errorf("answered %d times", n)
		}
		time.Sleep(2 * linger)
		gone, err := p.request(t, t.Context(), `5`, more)
		if _, got := outcome(t, gone, err); !strings.Contains(got, `"isError":true,"resultType":"complete"`) || len(p.server.calls) != 0 {
			t.Errorf("%s; the call must not be made again", got)
		}
	})
}

func TestClientsThatDoNotComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		call := <-p.server.calls
		call.say(t, askName)
		call.say(t, `{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`)
		_, first := outcome(t, reply, err)
		time.Sleep(10*time.Minute + time.Second)
		<-call.closed
		if got := call.heard(); !strings.Contains(got, `"id":"s1","result":{"action":"cancel"}`) || !strings.Contains(got, `"id":9,"error":{"code":-1`) {
			t.Errorf("the server heard %s", got)
		}
		if call.ctx.Err() == nil {
			t.Error("the call was not cancelled")
		}
		again, err := p.request(t, t.Context(), `2`, `,"inputResponses":{"q1":{}},"requestState":`+stateOf(t, first))
		if _, got := outcome(t, again, err); !strings.Contains(got, `"isError":true`) {
			t.Error(got)
		}
	})
}

func TestCorner5_20_ServersThatGoOnWithoutTheirClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		call := <-p.server.calls
		call.say(t, askName)
		_, first := outcome(t, reply, err)
		call.say(t, done)
		synctest.Wait()
		again, err := p.request(t, t.Context(), `2`, `,"requestState":`+stateOf(t, first))
		if _, got := outcome(t, again, err); !strings.Contains(got, `"id":2,"result":{"content":[]`) {
			t.Error(got)
		}

		reply, err = p.request(t, t.Context(), `3`, ``)
		call = <-p.server.calls
		call.say(t, askName)
		_, first = outcome(t, reply, err)
		call.says <- nil // it died
		synctest.Wait()
		again, err = p.request(t, t.Context(), `4`, `,"requestState":`+stateOf(t, first))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if _, err := again.Next(); err == nil || rpc.AsError(err).Code != rpc.UpstreamDown {
			t.Error(err)
		}
	})
}

func TestCorner5_19_AClientThatGoesAwayCancels(t *testing.T) {
	t.Parallel()
	for name, parked := range map[string]bool{"before a question": false, "in a retry": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParking(t, Config{})
				ctx, cancel := context.WithCancel(t.Context())
				reply, err := p.request(t, ctx, `1`, ``)
				call := <-p.server.calls
				if parked {
					call.say(t, askName)
					_, first := outcome(t, reply, err)
					cancel()
					synctest.Wait()
					if call.ctx.Err() != nil {
						t.Fatal("a request that was answered has ended; its call has not")
					}
					ctx, cancel = context.WithCancel(t.Context())
					reply, err = p.request(t, ctx, `2`, `,"inputResponses":{"q1":{"action":"accept"}},"requestState":`+stateOf(t, first))
				}
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { _, err := reply.Next(); ended <- err }()
				synctest.Wait()
				cancel()
				if err := <-ended; err == nil {
					t.Error("Next goes on")
				}
				_ = reply.Close()
				<-call.closed
				if call.ctx.Err() == nil {
					t.Error("the call was not cancelled")
				}
			})
		})
	}
}

// Corner case 5.35.
func TestT5_StatesAreGoodForOneCallOfOnePrincipal(t *testing.T) {
	t.Parallel()
	p := newParking(t, Config{})
	reply, err := p.request(t, t.Context(), `1`, ``)
	call := <-p.server.calls
	call.say(t, askName)
	_, first := outcome(t, reply, err)
	state := stateOf(t, first)
	refused := func(name string, err error) {
		if rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.who = rpc.Principal{User: "mallory"}
	_, err = p.request(t, t.Context(), `2`, `,"requestState":`+state)
	refused("another principal", err)
	p.who = rpc.Principal{}
	for name, more := range map[string]string{
		"changed":              `,"requestState":` + strings.Replace(state, "gw1.", "gw1.A", 1),
		"a server's own state": `,"requestState":"raw"`,
		"no string":            `,"requestState":7`,
		"answers in an array":  `,"inputResponses":[],"requestState":` + state,
		"an answer in a text":  `,"inputResponses":{"q1":"x"},"requestState":` + state,
	} {
		_, err = p.request(t, t.Context(), `3`, more)
		refused(name, err)
	}
	other := callOf(t, mcp.LatestModern, everything, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"t","arguments":{"a":2},"requestState":`+state+`}}`)
	_, err = p.bridge.Cross(p.server).Handle(t.Context(), other)
	refused("other arguments", err)
	same := callOf(t, mcp.LatestModern, everything, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t","arguments":{ "b":[2], "a":1 },"requestState":`+state+`}}`)
	reply, err = p.bridge.Cross(p.server).Handle(t.Context(), same)
	if _, got := outcome(t, reply, err); !strings.Contains(got, `"id":5,"result":{"resultType":"input_required"`) {
		t.Error(got)
	}
}

func TestCorner5_35_ModernStatesAreWrapped(t *testing.T) {
	t.Parallel()
	s := &rounds{answers: []string{
		`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}},"requestState":"o\u0041"}}`,
		complete,
	}}
	b := newBridge(t, Config{})
	call := func(user, more string) (*rpc.Reply, error) {
		c := callOf(t, mcp.LatestModern, everything, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"`+more+`}}`)
		c.Principal.User = user
		return b.Cross(s).Handle(t.Context(), c)
	}
	reply, err := call("a", ``)
	_, first := outcome(t, reply, err)
	state := stateOf(t, first)
	if want := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}},"requestState":"S"}}`; bare(first) != want {
		t.Error(first)
	}
	if _, err := call("b", `,"requestState":`+state); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("5.35: another user's state: %v", err)
	}
	reply, err = call("a", `,"inputResponses":{"k":{"roots":[]}},"requestState":`+state)
	outcome(t, reply, err)
	if want := `"inputResponses":{"k":{"roots":[]}},"requestState":"o\u0041"}}`; !strings.HasSuffix(s.heard[1], want) {
		t.Errorf("the server heard %s", s.heard[1])
	}
}

// A call that goes on has to go to the upstream where it waits, wherever rules would send it by now.
func TestAStateSaysWhoHoldsTheCall(t *testing.T) {
	t.Parallel()
	p := newParking(t, Config{})
	reply, err := p.request(t, t.Context(), `1`, ``)
	call := <-p.server.calls
	call.say(t, askName)
	_, first := outcome(t, reply, err)
	state := stateOf(t, first)
	again := func(revision rpc.Revision, method, state string) *rpc.Call {
		c := callOf(t, revision, everything, `{"jsonrpc":"2.0","id":2,"method":"`+method+`","params":{"name":"t"`+state+`}}`)
		c.Target.Upstream = "elsewhere"
		return c
	}
	for name, tt := range map[string]struct {
		call *rpc.Call
		user string
		want string
	}{
		"its client":        {again(mcp.LatestModern, mcp.ToolsCall, `,"requestState":`+state), "", "up"},
		"somebody else":     {again(mcp.LatestModern, mcp.ToolsCall, `,"requestState":`+state), "mallory", ""},
		"a legacy client":   {again(mcp.LatestLegacy, mcp.ToolsCall, `,"requestState":`+state), "", ""},
		"another method":    {again(mcp.LatestModern, mcp.ToolsList, `,"requestState":`+state), "", ""},
		"no state":          {again(mcp.LatestModern, mcp.ToolsCall, ``), "", ""},
		"a foreign state":   {again(mcp.LatestModern, mcp.ToolsCall, `,"requestState":"gw1.x"`), "", ""},
		"what is no string": {again(mcp.LatestModern, mcp.ToolsCall, `,"requestState":{}`), "", ""},
	} {
		tt.call.Principal.User = tt.user
		if got := p.bridge.Holds(tt.call); got != tt.want {
			t.Errorf("%s: %q holds it, want %q", name, got, tt.want)
		}
	}
}

func TestQuestionsThatTheClientDidNotDeclare(t *testing.T) {
	t.Parallel()
	p := newParking(t, Config{})
	p.caps = `{"elicitation":{}}`
	reply, err := p.request(t, t.Context(), `1`, ``)
	call := <-p.server.calls
	call.say(t, askURL)
	call.say(t, askRoots)
	call.say(t, `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e1"}}`)
	call.say(t, done)
	if notes, got := outcome(t, reply, err); !strings.Contains(got, "complete") || len(notes) != 0 {
		t.Error(notes, got)
	}
	if strings.Count(call.heard(), "-32601") != 2 {
		t.Errorf("the server heard %s", call.heard())
	}
}

func TestParkedCallsAreBounded(t *testing.T) {
	t.Parallel()
	p := newParking(t, Config{PerPrincipal: 1, Rounds: 2})
	reply, err := p.request(t, t.Context(), `1`, ``)
	call := <-p.server.calls
	call.say(t, askName)
	_, first := outcome(t, reply, err)

	reply, err = p.request(t, t.Context(), `2`, ``)
	second := <-p.server.calls
	second.say(t, askName)
	second.say(t, done)
	outcome(t, reply, err)
	if !strings.Contains(second.heard(), `"action":"cancel"`) {
		t.Errorf("the server heard %s", second.heard())
	}
	for range 2 {
		reply, err = p.request(t, t.Context(), `3`, `,"requestState":`+stateOf(t, first))
		_, first = outcome(t, reply, err)
	}
	if _, err = p.request(t, t.Context(), `4`, `,"requestState":`+stateOf(t, first)); rpc.AsError(err).Code != rpc.InvalidRequest {
		t.Errorf("too many rounds: %v", err)
	}
	if err := p.bridge.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-call.closed
	if !strings.Contains(call.heard(), `"action":"cancel"`) {
		t.Errorf("at the end the server heard %s", call.heard())
	}
}

// A call that is parked in the moment in which all are given up is waited for too.
func TestClosingWaitsForACallThatIsBeingParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLot(Config{Parked: 1, PerPrincipal: 1})
		p := l.enter(&opening{call: &rpc.Call{}, reply: rpc.Respond(nil), release: func(error) {}})
		closed := make(chan error, 1)
		go func() { closed <- l.close(t.Context()) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("it was not waited for")
		default:
		}
		go p.pump()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
