package bridge

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// visit is how a legacy server says that a page must be visited first.
func visit(id string) string {
	return `{"jsonrpc":"2.0","id":77,"error":{"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"url","elicitationId":"` + id + `","url":"https://x/secret","message":"m"}]}}}`
}

func TestCorner5_14_PagesToVisitFirst(t *testing.T) {
	t.Parallel()
	visit := visit("e 1")
	p := newParking(t, Config{})
	reply, err := p.request(t, t.Context(), `1`, ``)
	(<-p.server.calls).say(t, visit)
	_, first := outcome(t, reply, err)
	if want := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"e 1":{"method":"elicitation/create","params":{"mode":"url","url":"https://x/secret","message":"m"}}},"requestState":"S"}}`; bare(first) != want {
		t.Errorf("\n got %s\nwant %s", bare(first), want)
	}
	reply, err = p.request(t, t.Context(), `2`, `,"inputResponses":{"e 1":{"action":"decline"}},"requestState":`+stateOf(t, first))
	if _, got := outcome(t, reply, err); !strings.Contains(got, `"isError":true`) || len(p.server.calls) != 0 {
		t.Error(got)
	}
	reply, err = p.request(t, t.Context(), `3`, `,"inputResponses":{"e 1":{"action":"accept"}},"requestState":`+stateOf(t, first))
	again := <-p.server.calls
	again.say(t, done)
	outcome(t, reply, err)
	if _, ok := again.call.Message.Get("requestState"); ok {
		t.Error("the state of the gateway went upstream")
	}
	p.caps = `{"elicitation":{}}`
	reply, err = p.request(t, t.Context(), `4`, ``)
	(<-p.server.calls).say(t, visit)
	if _, got := outcome(t, reply, err); got != `{"jsonrpc":"2.0","id":4,"error":{"code":-32021,"message":"visit","data":{"requiredCapabilities":{"elicitation":{"url":{}}}}}}` {
		t.Error(got)
	}
	for _, data := range []string{`{}`, `{"elicitations":[]}`, `{"elicitations":[7]}`, `{"elicitations":[{"elicitationId":"a"},{"elicitationId":"a"}]}`} {
		p.caps = everything
		reply, err = p.request(t, t.Context(), `5`, ``)
		(<-p.server.calls).say(t, `{"jsonrpc":"2.0","id":77,"error":{"code":-32042,"message":"visit","data":`+data+`}}`)
		if _, got := outcome(t, reply, err); !strings.Contains(got, `"reason":"upstream_failed"`) {
			t.Errorf("%s: %s", data, got)
		}
	}
}

// A user who has agreed to visit a page need not have done so yet.
func TestPagesThatTakeAWhile(t *testing.T) {
	t.Parallel()
	const agreed = `,"inputResponses":{"e1":{"action":"accept"}},"requestState":`
	for name, tt := range map[string]struct {
		again  []string // what the server answers in turn; then it has the page
		asked  bool     // the client is asked again
		within time.Duration
	}{
		"at once":      {nil, false, 0},
		"in a while":   {[]string{visit("e1"), visit("e1"), visit("e1")}, false, time.Second},
		"another page": {[]string{visit("e2")}, true, 0},
		"never":        {slices.Repeat([]string{visit("e1")}, 100), true, visitPatience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParking(t, Config{})
				reply, err := p.request(t, t.Context(), `1`, ``)
				(<-p.server.calls).say(t, visit("e1"))
				_, first := outcome(t, reply, err)
				calls := 0
				go func() {
					for call := range p.server.calls {
						calls++
						if calls <= len(tt.again) {
							call.say(t, tt.again[calls-1])
						} else {
							call.say(t, done)
						}
					}
				}()
				defer close(p.server.calls)
				began := time.Now()
				reply, err = p.request(t, t.Context(), `2`, agreed+stateOf(t, first))
				_, got := outcome(t, reply, err)
				if asked := strings.Contains(got, "input_required"); asked != tt.asked {
					t.Errorf("after %d calls: %s", calls, got)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestPagesThatTakeAWhileAreNotWaitedForByNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		(<-p.server.calls).say(t, visit("e1"))
		_, first := outcome(t, reply, err)
		reply, err = p.request(t, t.Context(), `2`, `,"inputResponses":{"e1":{"action":"accept"}},"requestState":`+stateOf(t, first))
		if err != nil {
			t.Fatal(err)
		}
		again := <-p.server.calls
		again.say(t, visit("e1"))
		ended := make(chan error, 1)
		go func() { _, err := reply.Next(); ended <- err }()
		synctest.Wait()
		if err := reply.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("Next goes on")
		}
		<-again.closed
		time.Sleep(visitPatience)
		if len(p.server.calls) != 0 {
			t.Error("the call was made again")
		}
	})
}

// A page that was visited to its end is as good as the client's word that it will be.
func TestAVisitedPageUnparksItsCall(t *testing.T) {
	t.Parallel()
	const complete = `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"%"}}`
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		call := <-p.server.calls
		call.say(t, askName)
		call.say(t, askURL)
		_, first := outcome(t, reply, err)
		for _, id := range []string{"", "other", "e1", "e1"} {
			call.say(t, strings.Replace(complete, "%", id, 1))
		}
		synctest.Wait()
		if want := `{"jsonrpc":"2.0","id":"s2","result":{"action":"accept"}}`; call.heard() != want {
			t.Errorf("the server heard %s", call.heard())
		}
		reply, err = p.request(t, t.Context(), `2`, `,"inputResponses":{"q1":{"action":"decline"},"q2":{"action":"cancel"}},"requestState":`+stateOf(t, first))
		call.say(t, done)
		notes, last := outcome(t, reply, err)
		if !strings.Contains(last, `"resultType":"complete"`) || len(notes) != 0 {
			t.Error(notes, last)
		}
		if n := strings.Count(call.heard(), `"id":"s2"`); n != 1 {
			t.Errorf("it was answered %d times: %s", n, call.heard())
		}
	})
}

// A question that its server has taken back is not asked again.
func TestQuestionsThatTheServerTakesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		reply, err := p.request(t, t.Context(), `1`, ``)
		call := <-p.server.calls
		call.say(t, askName)
		call.say(t, askRoots)
		_, first := outcome(t, reply, err)
		for _, id := range []string{`"s1"`, `"s1"`, `"3"`, `null`} {
			call.say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`}}`)
		}
		synctest.Wait()
		reply, err = p.request(t, t.Context(), `2`, `,"inputResponses":{"q1":{"action":"accept"}},"requestState":`+stateOf(t, first))
		notes, second := outcome(t, reply, err)
		if strings.Contains(second, `"q1"`) || !strings.Contains(second, `"q2"`) || len(notes) != 0 {
			t.Errorf("asked again: %s, told %q", second, notes)
		}
		if call.heard() != "" {
			t.Errorf("the server heard %s", call.heard())
		}
	})
}

// Revisions before 2025-11-25 have no pages to visit. The address is for the user's
// eyes and not for the model's, so it is left out.
func TestPagesForOlderClients(t *testing.T) {
	t.Parallel()
	const why = `upstream \"up\" wants pages to be visited first, which takes a client of revision 2025-11-25 or later: \"visit\"`
	for _, tt := range []struct {
		revision     rpc.Revision
		method, want string
	}{
		{"2025-11-25", mcp.ToolsCall, visit("e1")},
		{"2025-06-18", mcp.ToolsCall, `{"jsonrpc":"2.0","id":77,"result":{"content":[{"type":"text","text":"` + why + `"}],"isError":true}}`},
		{"2025-03-26", mcp.ToolsCall, `{"jsonrpc":"2.0","id":77,"result":{"content":[{"type":"text","text":"` + why + `"}],"isError":true}}`},
		{"2024-11-05", mcp.PromptsGet, `{"jsonrpc":"2.0","id":77,"error":{"code":-32603,"message":"` + why + `"}}`},
	} {
		s := newTalker()
		c := callOf(t, tt.revision, `{}`, `{"jsonrpc":"2.0","id":77,"method":"`+tt.method+`","params":{"name":"t"}}`)
		reply, err := newBridge(t, Config{}).Cross(s).Handle(t.Context(), c)
		(<-s.calls).say(t, visit("e1"))
		if _, got := outcome(t, reply, err); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.revision, tt.method, got, tt.want)
		}
	}
}
