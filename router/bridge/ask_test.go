package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// rounds is a modern server that answers each call of it with the next message, and
// remembers what it was sent.
type rounds struct {
	answers []string
	heard   []string
}

func (s *rounds) Handle(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	s.heard = append(s.heard, string(c.Message.AppendTo(nil)))
	if len(s.answers) == 0 {
		return nil, rpc.Errorf(rpc.Internal, "called too often")
	}
	var messages []*rpc.Message
	for line := range strings.SplitSeq(s.answers[0], "\n") {
		m, err := rpc.Parse([]byte(line), rpc.Limits{})
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	s.answers = s.answers[1:]
	reply := rpc.NewReply(&playback{messages})
	reply.Revision = mcp.LatestModern
	return reply, nil
}

// playback is a source of messages that are known beforehand.
type playback struct{ messages []*rpc.Message }

func (p *playback) Next() (*rpc.Message, error) {
	if len(p.messages) == 0 {
		return nil, io.EOF
	}
	m := p.messages[0]
	p.messages = p.messages[1:]
	return m, nil
}

func (*playback) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*playback) Close() error              { return nil }

// callOf returns the call of a client with these capabilities.
func callOf(t *testing.T, revision rpc.Revision, capabilities, text string) *rpc.Call {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	row, ok := mcp.Lookup(m.Method, mcp.LatestModern)
	if !ok {
		t.Fatal(m.Method)
	}
	return &rpc.Call{
		Message: m, Method: row, Target: rpc.Target{Upstream: "up", Own: "t"},
		Client: rpc.Client{Era: mcp.EraOf(revision), Revision: revision, Capabilities: json.RawMessage(capabilities)},
	}
}

func newBridge(t *testing.T, cfg Config) *Bridge {
	t.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	return New(cfg, keys, slog.New(slog.DiscardHandler))
}

// askCall is what the legacy client calls.
const askCall = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","arguments":{"n":1.0}}}`

// play makes a call and answers each question with what answer returns, "" for
// nothing. It returns the questions and the response.
func play(t *testing.T, server rpc.Handler, c *rpc.Call, answer func(q *rpc.Message) *rpc.Message) (questions []string, response string) {
	t.Helper()
	reply, err := newBridge(t, Config{}).Cross(server).Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	for {
		m, err := reply.Next()
		switch {
		case err != nil:
			t.Fatal(err)
		case m.IsRequest():
			questions = append(questions, string(m.AppendTo(nil)))
			if err := reply.Answer(answer(m)); err != nil {
				t.Fatal(err)
			}
		case m.IsResponse():
			if _, err := reply.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the response: %v", err)
			}
			return questions, string(m.AppendTo(nil))
		}
	}
}

func accept(q *rpc.Message) *rpc.Message {
	return rpc.NewResult(q.ID, []byte(`{"action":"accept","content":{"name":"x"}}`))
}

const complete = `{"jsonrpc":"2.0","id":"c","result":{"resultType":"complete","content":[]}}`

func TestLegacyClientIsAskedAndTheCallRepeated(t *testing.T) {
	t.Parallel()
	s := &rounds{answers: []string{
		`{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k1":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{}}}},"k2":{"method":"roots/list"}},"requestState":"a\u00e9"}}`,
		`{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k1":{"method":"elicitation/create","params":{"mode":"url","message":"m","url":"https://x"}}}}}`,
		complete,
	}}
	c := callOf(t, mcp.LatestLegacy, `{"elicitation":{"form":{},"url":{}},"roots":{}}`, askCall)
	questions, response := play(t, s, c, func(q *rpc.Message) *rpc.Message {
		if q.Method == mcp.RootsList {
			return rpc.NewResult(q.ID, []byte(`{"roots":[{"uri":"file:///r"}]}`))
		}
		return accept(q)
	})
	if len(questions) != 3 || !strings.Contains(questions[2], `"elicitationId":"`) || strings.Contains(questions[0], "elicitationId") {
		t.Errorf("questions: %q", questions)
	}
	if want := `{"jsonrpc":"2.0","id":"c","result":{"content":[]}}`; response != want {
		t.Errorf("response %s", response)
	}
	want := []string{
		askCall,
		`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","arguments":{"n":1.0},"inputResponses":{"k1":{"action":"accept","content":{"name":"x"}},"k2":{"roots":[{"uri":"file:///r"}]}},"requestState":"a\u00e9"}}`,
		`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","arguments":{"n":1.0},"inputResponses":{"k1":{"action":"accept","content":{"name":"x"}}}}}`,
	}
	if strings.Join(s.heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("the server heard\n%s", strings.Join(s.heard, "\n"))
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, request string
		code          int64
		want          string // in what the server hears in the second round, or the client as the response
	}{
		{"a form that failed was cancelled", `{"method":"elicitation/create","params":{"message":"m"}}`, -32603, `"inputResponses":{"k":{"action":"cancel"}}`},
		{"no roots at all", `{"method":"roots/list"}`, mcp.CodeMethodNotFound, `"inputResponses":{"k":{"roots":[]}}`},
		{"roots that failed", `{"method":"roots/list"}`, -32603, `"isError":true`},
		{"sampling that was rejected", `{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`, -1, `"isError":true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &rounds{answers: []string{
				`{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k":` + tt.request + `}}}`, complete,
			}}
			c := callOf(t, mcp.LatestLegacy, `{"elicitation":{},"roots":{},"sampling":{}}`, askCall)
			_, response := play(t, s, c, func(q *rpc.Message) *rpc.Message {
				return rpc.NewError(q.ID, &rpc.WireError{Code: tt.code, Message: "rejected by user"})
			})
			if !strings.Contains(strings.Join(s.heard, "\n")+response, tt.want) {
				t.Errorf("response %s\nthe server heard %q", response, s.heard)
			}
		})
	}
}

func TestServersAskForWhatWasDeclared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ capabilities, result string }{
		"nothing declared":        {`{}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}`},
		"URL mode not declared":   {`{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}}}}`},
		"tools not declared":      {`{"sampling":{}}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"sampling/createMessage","params":{"tools":[]}}}}`},
		"an unknown request":      {`{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"tools/call","params":{}}}}`},
		"no request and no state": {`{"elicitation":{}}`, `{"resultType":"input_required"}`},
		"requests in an array":    {`{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":[]}`},
		"a request of no shape":   {`{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":{"k":7}}`},
		"an unknown type":         {`{"elicitation":{}}`, `{"resultType":"task"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &rounds{answers: []string{`{"jsonrpc":"2.0","id":"c","result":` + tt.result + `}`}}
			questions, response := play(t, s, callOf(t, mcp.LatestLegacy, tt.capabilities, askCall), accept)
			if len(questions) != 0 || !strings.Contains(response, `"reason":"upstream_failed"`) || !strings.Contains(response, `"id":"c"`) {
				t.Errorf("questions %q, response %s", questions, response)
			}
		})
	}
}

func TestFormsForOlderClients(t *testing.T) {
	t.Parallel()
	s := &rounds{answers: []string{
		`{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{` +
			`"one":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{"c":{"type":"string","oneOf":[{"const":"r","title":"Red"},{"const":"g"}],"default":"r"},"b":{"type":"boolean","default":true}}}}},` +
			`"many":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{"l":{"type":"array","items":{"enum":["a"]}}}}}}}}}`,
		complete,
	}}
	questions, _ := play(t, s, callOf(t, "2025-06-18", `{"elicitation":{}}`, askCall), accept)
	if len(questions) != 1 || !strings.HasSuffix(questions[0], `"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{"c":{"type":"string","enum":["r","g"],"enumNames":["Red","g"]},"b":{"type":"boolean","default":true}}}}}`) {
		t.Errorf("questions %q", questions)
	}
	if len(s.heard) != 2 || !strings.Contains(s.heard[1], `"many":{"action":"decline"}`) || !strings.Contains(s.heard[1], `"one":{"action":"accept"`) {
		t.Errorf("the server heard %q", s.heard)
	}
}

func TestCorner5_2_ProgressOverRoundsIncreases(t *testing.T) {
	t.Parallel()
	note := func(n string) string {
		return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":` + n + `}}` + "\n"
	}
	s := &rounds{answers: []string{
		note("1") + note("2.5") + `{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}}`,
		note("1") + note("2.5") + note("3") + note(`"x"`) + complete,
	}}
	reply, err := newBridge(t, Config{}).Cross(s).Handle(t.Context(), callOf(t, mcp.LatestLegacy, `{"roots":{}}`, askCall))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	var got []string
	for {
		m, err := reply.Next()
		if err != nil {
			break
		}
		if m.IsRequest() {
			if err := reply.Answer(rpc.NewResult(m.ID, []byte(`{"roots":[]}`))); err != nil {
				t.Fatal(err)
			}
		}
		if n, ok := m.Get("progress"); ok {
			got = append(got, string(n))
		}
	}
	if strings.Join(got, " ") != "1 2.5 3" {
		t.Errorf("progress %v", got)
	}
}

func TestServersThatOnlyNeedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := `{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","requestState":"s"}}`
		s := &rounds{answers: []string{later, later, later, complete}}
		since := time.Now()
		_, response := play(t, s, callOf(t, mcp.LatestLegacy, ``, askCall), accept)
		if waited := time.Since(since); waited != 700*time.Millisecond || !strings.Contains(response, "content") {
			t.Errorf("after %v: %s", waited, response)
		}
	})
}

func TestRoundsAndPatienceAreBounded(t *testing.T) {
	t.Parallel()
	again := `{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}}`
	s := &rounds{}
	for range 40 {
		s.answers = append(s.answers, again)
	}
	_, response := play(t, s, callOf(t, mcp.LatestLegacy, `{"roots":{}}`, askCall), func(q *rpc.Message) *rpc.Message {
		return rpc.NewResult(q.ID, []byte(`{"roots":[]}`))
	})
	if !strings.Contains(response, "more than 16 times") || len(s.heard) != 17 {
		t.Errorf("after %d calls: %s", len(s.heard), response)
	}
	synctest.Test(t, func(t *testing.T) {
		reply, err := newBridge(t, Config{Patience: time.Minute}).Cross(&rounds{answers: []string{again}}).
			Handle(t.Context(), callOf(t, mcp.LatestLegacy, `{"roots":{}}`, askCall))
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Close()
		q, err := reply.Next()
		if err != nil || !q.IsRequest() {
			t.Fatal(q, err)
		}
		if _, err := reply.Next(); err == nil || rpc.AsError(err).Code != rpc.Cancelled {
			t.Errorf("a client that never answers: %v", err)
		}
	})
}

func TestCorner5_19_CloseAndCancelEndAnAskedCall(t *testing.T) {
	t.Parallel()
	again := `{"jsonrpc":"2.0","id":"c","result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}}`
	for name, end := range map[string]func(*rpc.Reply, context.CancelFunc){
		"closed":    func(r *rpc.Reply, _ context.CancelFunc) { _ = r.Close() },
		"cancelled": func(_ *rpc.Reply, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reply, err := newBridge(t, Config{}).Cross(&rounds{answers: []string{again}}).Handle(ctx, callOf(t, mcp.LatestLegacy, `{"roots":{}}`, askCall))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			if q, err := reply.Next(); err != nil || !q.IsRequest() {
				t.Fatal(q, err)
			}
			ended := make(chan error)
			go func() { _, err := reply.Next(); ended <- err }()
			end(reply, cancel)
			if err := <-ended; err == nil {
				t.Error("Next goes on")
			}
		})
	}
}

func TestLegacyClientsHaveNoInputToGive(t *testing.T) {
	t.Parallel()
	s := &rounds{answers: []string{complete}}
	text := `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","inputResponses":{"k":{}},"requestState":"another's"}}`
	play(t, s, callOf(t, mcp.LatestLegacy, ``, text), accept)
	if want := `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t"}}`; s.heard[0] != want {
		t.Errorf("the server heard %s", s.heard[0])
	}
}
