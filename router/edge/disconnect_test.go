package edge_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// running is what a test holds of a call that runs.
type running struct {
	ctx      context.Context
	messages chan *rpc.Message
	answers  chan *rpc.Message
	tape     *tape
}

// held is a handler whose calls run until the test ends them.
func held(calls chan<- *running) rpc.HandlerFunc {
	return func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		r := &running{ctx: ctx, messages: make(chan *rpc.Message), answers: make(chan *rpc.Message, 16)}
		r.tape = play(ctx, r.messages, r.answers)
		calls <- r
		return rpc.NewReply(r.tape), nil
	}
}

// start sends a request that its client may abandon, and returns how.
func (g *gate) start(body string, header ...string) (abandon func(), answered <-chan answer) {
	ctx, cancel := context.WithCancel(g.tb.Context())
	out := make(chan answer, 1)
	go func() {
		defer close(out)
		g := *g
		if a, err := g.try(ctx, body, header...); err == nil {
			out <- a
		}
	}()
	return cancel, out
}

// A modern client cancels by going away (MCP 2026-07-28, Cancellation).
func TestModernDisconnectCancels(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		calls := make(chan *running, 1)
		g := open(t, setup{handle: held(calls)})
		body, header := modern("7", "x/y", "")
		abandon, _ := g.start(body, header...)
		call := <-calls
		if begun {
			call.messages <- progress(1)
		}
		abandon()
		<-call.ctx.Done()
		<-call.tape.closed
	}
}

// A legacy client's disconnect is no cancel (MCP 2025-11-25, Streamable HTTP).
func TestLegacyCallOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		calls := make(chan *running, 1)
		g := open(t, setup{handle: held(calls)})
		bearer := g.session()
		abandon, answered := g.start(request("7", "x/y"), bearer...)
		call := <-calls
		if begun {
			call.messages <- progress(1)
		}
		abandon()
		<-answered
		for i := range 1000 { // some are written before the disconnect is noticed
			call.messages <- progress(i + 2)
		}
		if call.ctx.Err() != nil {
			t.Fatalf("the call was cancelled: %v", context.Cause(call.ctx))
		}
		if a := g.do("POST", request("7", "x/y"), bearer...); a.status != 400 || !strings.Contains(a.body, "in flight") {
			t.Errorf("the call does not count as in flight: %d %s", a.status, a.body)
		}
		call.messages <- result(`{}`)
		<-call.tape.closed
	}
}

// A question that cannot reach the client is declined, so that its server goes on.
func TestCorner5_18_QuestionsToNobodyAreDeclined(t *testing.T) {
	t.Parallel()
	ask := func() *rpc.Message { return rpc.NewRequest(rpc.StringID("q"), "elicitation/create", []byte(`{}`)) }
	for name, tt := range map[string]struct {
		modern  bool
		header  []string
		abandon bool
	}{
		"the client is gone":              {abandon: true},
		"the client takes no streams":     {header: []string{"Accept", "application/json"}},
		"the client's era asks otherwise": {modern: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := make(chan *running, 1)
			g := open(t, setup{handle: held(calls)})
			body, header := modern("7", "x/y", "")
			if !tt.modern {
				body, header = request("7", "x/y"), g.sessionOf("2024-11-05") // whose streams cannot be resumed
			}
			abandon, answered := g.start(body, append(header, tt.header...)...)
			call := <-calls
			if tt.abandon {
				abandon()
				<-answered
				for i := range 1000 {
					call.messages <- progress(i)
				}
			}
			call.messages <- ask()
			got := <-call.answers
			if got.Err == nil || got.ID.Raw() != `"q"` {
				t.Errorf("answer = %+v", got)
			}
			call.messages <- result(`{}`)
			<-call.tape.closed
		})
	}
}

// A question goes to the client under an id of the gateway's, and the answer, which
// comes with another POST, back under the server's.
func TestCorner5_1_QuestionsOfTwoServersHaveTheirOwnIDs(t *testing.T) {
	t.Parallel()
	calls := make(chan *running, 1)
	g := open(t, setup{handle: held(calls)})
	bearer, other := g.session(), g.session()
	type dialogue struct {
		call   *running
		asked  string // id of the question, as the client got it
		events *frame.SSEReader
	}
	var dialogues []dialogue
	for _, id := range []string{"7", "8"} {
		answers := make(chan *http.Response, 1)
		go func() { answers <- g.send(t.Context(), "POST", request(id, "x/y"), bearer...) }()
		call := <-calls
		call.messages <- rpc.NewRequest(rpc.NumberID(1), "elicitation/create", []byte(`{"message":"of `+id+`"}`)) // the same id
		resp := <-answers
		defer resp.Body.Close()
		d := dialogue{call: call, events: frame.NewSSEReader(resp.Body, 1<<20)}
		if ev, err := d.events.Next(); err != nil || len(ev.Data) != 0 {
			t.Fatalf("priming event %q %v", ev.Data, err)
		}
		ev, err := d.events.Next()
		if err != nil {
			t.Fatal(err)
		}
		q, err := rpc.Parse(bytes.Clone(ev.Data), rpc.Limits{})
		if err != nil || q.Method != "elicitation/create" || string(q.Params) != `{"message":"of `+id+`"}` {
			t.Fatalf("question %s: %v", ev.Data, err)
		}
		d.asked = q.ID.Raw()
		dialogues = append(dialogues, d)
	}
	if dialogues[0].asked == dialogues[1].asked {
		t.Fatal("two questions have the same id")
	}
	say := func(id, text string, header []string) {
		if a := g.do("POST", `{"jsonrpc":"2.0","id":`+id+`,"result":{"text":"`+text+`"}}`, header...); a.status != 202 {
			t.Errorf("answer %s: %d %s", id, a.status, a.body)
		}
	}
	say(dialogues[0].asked, "of another session", other)
	say("1", "to the server's own id", bearer)
	say(`"`+dialogues[1].asked+`"`, "two", bearer) // some clients answer a number with a string
	say(dialogues[0].asked, "one", bearer)
	say(dialogues[0].asked, "again", bearer)
	for i, want := range []string{`{"text":"one"}`, `{"text":"two"}`} {
		d := dialogues[i]
		if got := <-d.call.answers; got.ID.Raw() != "1" || string(got.Result) != want {
			t.Errorf("answer %d = %s %s", i, got.ID.Raw(), got.Result)
		}
		d.call.messages <- result(`{}`)
		if ev, err := d.events.Next(); err != nil || !strings.Contains(string(ev.Data), `"result"`) {
			t.Errorf("%s %v", ev.Data, err)
		}
		<-d.call.tape.closed
		if len(d.call.answers) != 0 {
			t.Errorf("answer %d came twice", i)
		}
	}
}

// What a client is asked in a call is taken back with the call, whoever ended it (MCP
// 2025-11-25, Cancellation).
func TestQuestionsEndWithTheirCall(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(g *gate, call *running, bearer []string){
		"the server answers": func(_ *gate, call *running, _ []string) { call.messages <- result(`{}`) },
		"the server takes it back": func(_ *gate, call *running, _ []string) {
			for _, id := range []string{"9", "1", "2", "2"} { // of none, answered, open, taken back
				call.messages <- rpc.NewNotification("notifications/cancelled", []byte(`{"requestId":`+id+`}`))
			}
			call.messages <- result(`{}`)
		},
		"the server fails": func(_ *gate, call *running, _ []string) { close(call.messages) },
		"the client cancels": func(g *gate, _ *running, bearer []string) {
			g.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, bearer...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := make(chan *running, 1)
			g := open(t, setup{handle: held(calls)})
			bearer := g.session()
			answers := make(chan *http.Response, 1)
			go func() { answers <- g.send(t.Context(), "POST", request("7", "x/y"), bearer...) }()
			call := <-calls
			call.messages <- rpc.NewRequest(rpc.NumberID(1), "elicitation/create", []byte(`{}`))
			call.messages <- rpc.NewRequest(rpc.NumberID(2), "elicitation/create", []byte(`{}`))
			resp := <-answers
			defer resp.Body.Close()
			events := frame.NewSSEReader(resp.Body, 1<<20)
			next := func() *rpc.Message {
				t.Helper()
				for {
					ev, err := events.Next()
					if err != nil {
						t.Fatal(err)
					}
					if len(ev.Data) == 0 {
						continue // the stream begins with an id
					}
					m, err := rpc.Parse(bytes.Clone(ev.Data), rpc.Limits{})
					if err != nil {
						t.Fatal(err)
					}
					return m
				}
			}
			first, second := next(), next()
			answer := `{"jsonrpc":"2.0","id":%,"result":{"action":"accept"}}`
			g.do("POST", strings.Replace(answer, "%", first.ID.Raw(), 1), bearer...)
			<-call.answers
			end(g, call, bearer)
			m := next()
			if id, _ := m.Get("requestId"); m.Method != "notifications/cancelled" || string(id) != second.ID.Raw() {
				t.Errorf("got %s, want that question %s is taken back", m.AppendTo(nil), second.ID.Raw())
			}
			if m := next(); !m.IsResponse() || m.ID.Raw() != "7" {
				t.Errorf("got %s, want the response", m.AppendTo(nil))
			}
			g.do("POST", strings.Replace(answer, "%", second.ID.Raw(), 1), bearer...)
			if len(call.answers) != 0 {
				t.Error("a late answer was passed on")
			}
		})
	}
}

func TestCorner5_19_CancelledStopsTheCallItNames(t *testing.T) {
	t.Parallel()
	cancelling := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"bored"}}`
	}
	for _, begun := range []bool{false, true} {
		calls := make(chan *running, 1)
		g := open(t, setup{handle: held(calls)})
		bearer, other := g.session(), g.session()
		_, answered := g.start(request(`"7"`, "x/y"), bearer...)
		call := <-calls
		if begun {
			call.messages <- progress(1)
		}
		for _, tt := range []struct {
			body   string
			header []string
		}{
			{cancelling(`"7"`), other},                                       // another session's
			{cancelling(`7`), bearer},                                        // another id
			{cancelling(`null`), bearer},                                     // no id
			{`{"jsonrpc":"2.0","method":"notifications/cancelled"}`, bearer}, // nothing
			{`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":["7"]}}`, bearer}, // no id either
		} {
			if a := g.do("POST", tt.body, tt.header...); a.status != 202 {
				t.Fatalf("%s: %d %s", tt.body, a.status, a.body)
			}
		}
		if call.ctx.Err() != nil {
			t.Fatal("somebody else's cancel stopped the call")
		}
		if a := g.do("POST", cancelling(`"\u0037"`), bearer...); a.status != 202 { // the same id, spelled in another way
			t.Fatalf("%d %s", a.status, a.body)
		}
		<-call.ctx.Done()
		if e, ok := errors.AsType[*rpc.Error](context.Cause(call.ctx)); !ok || e.Code != rpc.Cancelled {
			t.Errorf("cause = %v", context.Cause(call.ctx))
		}
		a := <-answered // the request is answered all the same: its POST must end
		last := a.body
		if begun {
			last = a.events[len(a.events)-1]
		}
		if codeOf(t, last) != 106 {
			t.Errorf("answer = %s", a.body)
		}
	}
}

func TestEndOfTheSessionStopsItsCallsAndStreams(t *testing.T) {
	t.Parallel()
	calls := make(chan *running, 1)
	g := open(t, setup{handle: held(calls)})
	ended := make(chan string, 1)
	g.sessions.OnEnd(func(key string) { ended <- key })
	bearer := g.session()
	_, answered := g.start(request("7", "x/y"), bearer...)
	call := <-calls
	stream := g.send(t.Context(), "GET", "", bearer...)
	defer stream.Body.Close()
	if a := g.do("DELETE", "", bearer...); a.status != 204 || a.body != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	<-call.ctx.Done()
	if a := <-answered; codeOf(t, a.body) != 106 {
		t.Errorf("answer = %s", a.body)
	}
	if got := events(t, stream.Body); len(got) != 0 {
		t.Errorf("events %q", got)
	}
	if key := <-ended; key == "" || key == bearer[1] {
		t.Errorf("key = %q", key)
	}
	for _, verb := range []string{"POST", "GET", "DELETE"} {
		body := ""
		if verb == "POST" {
			body = request("7", "x/y")
		}
		if a := g.do(verb, body, bearer...); a.status != 404 {
			t.Errorf("%s after the end: %d %s", verb, a.status, a.body)
		}
	}
}

func TestCorner5_1_IDsInFlightAreUniqueAndBounded(t *testing.T) {
	t.Parallel()
	calls := make(chan *running, 3)
	g := open(t, setup{handle: held(calls), session: session.Config{InFlight: 3}})
	bearer := g.session()
	var answers []<-chan answer
	for _, id := range []string{`7`, `"7"`, `7.0`} { // three different ids
		_, answered := g.start(request(id, "x/y"), bearer...)
		answers = append(answers, answered)
	}
	var open []*running
	for range 3 {
		open = append(open, <-calls)
	}
	if a := g.do("POST", request(`"\u0037"`, "x/y"), bearer...); a.status != 400 || codeOf(t, a.body) != -32600 {
		t.Errorf("id in flight: %d %s", a.status, a.body)
	}
	if a := g.do("POST", request(`8`, "x/y"), bearer...); a.status != 429 {
		t.Errorf("one call too many: %d %s", a.status, a.body)
	}
	for _, call := range open {
		call.messages <- result(`{}`)
	}
	for _, answered := range answers {
		if a := <-answered; a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	_, answered := g.start(request("7", "x/y"), bearer...)
	(<-calls).messages <- result(`{}`)
	if a := <-answered; a.status != 200 {
		t.Errorf("id used again: %d %s", a.status, a.body)
	}
	body, header := modern("7", "x/y", "")
	for range 4 { // each modern POST is its own scope
		_, answered := g.start(body, header...)
		defer func() { <-answered }()
		call := <-calls
		defer func() { call.messages <- result(`{}`) }()
	}
}

// A legacy call without a client does not run for ever.
func TestOrphanedCallsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan *running, 1)
		g := open(t, setup{memory: true, handle: held(calls)})
		abandon, answered := g.start(request("7", "x/y"), g.session()...)
		call := <-calls
		abandon()
		<-answered
		start := time.Now()
		<-call.ctx.Done()
		if took := time.Since(start); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("ended after %v", took)
		}
	})
}
