package mcpserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestQuestionsReachTheClientThatCanBeAsked(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "elicit", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	question, err := reply.Next()
	if err != nil || question.Method != mcp.ElicitationCreate || question.ID.Raw() != "1" {
		t.Fatalf("%v %v", question, err)
	}
	if err := reply.Answer(rpc.NewResult(rpc.NumberID(5), []byte(`{}`))); !errors.Is(err, rpc.ErrNoQuestion) {
		t.Errorf("an answer to nothing: %v", err)
	}
	answer := rpc.NewResult(question.ID, []byte(`{"action":"accept","content":{"n":1.0}}`))
	if err := reply.Answer(answer); err != nil {
		t.Fatal(err)
	}
	if err := reply.Answer(answer); !errors.Is(err, rpc.ErrNoQuestion) {
		t.Errorf("a second answer: %v", err)
	}
	response, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	if heard, _ := response.Text("answer"); heard != textOf(answer) {
		t.Errorf("the server heard %s", heard)
	}
}

func TestQuestionsThatNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for _, test := range []struct {
		name   string
		client rpc.Client
		tool   string
		want   string
	}{
		{"ping", asking("a"), "ping", `{"jsonrpc":"2.0","id":"ping-1","result":{}}`},
		{"ping on the shared link", legacyClient(), "ping", `{"jsonrpc":"2.0","id":"ping-1","result":{}}`},
		{"not declared", asking("a"), "sample", `-32601`},
		{"shared link", legacyClient(), "elicit", `-32601`},
		{"other era", modernClient(), "elicit", `-32601`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := toolCall("1", test.tool, `{}`)
			if test.client.Era == rpc.Modern {
				text = modernToolCall("1", test.tool, `{}`)
			}
			a := mustRun(t, s, newCall(t, test.client, text))
			if heard, _ := a.response.Text("answer"); !strings.Contains(heard, test.want) || len(a.before) != 0 {
				t.Errorf("the server heard %s, the client %v", heard, a.before)
			}
		})
	}
}

func TestQuestionAfterTheHandshakeWaitsForACall(t *testing.T) {
	t.Parallel()
	cfg := scripted("inner-output")
	cfg.Era = "legacy"
	s := newServer(t, cfg)
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "hang", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	if m, err := reply.Next(); err != nil || m.Method != mcp.RootsList {
		t.Errorf("%v %v", m, err)
	}
}

func TestLinksAreSharedByWhoCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	other := legacyClient()
	other.Session, other.Capabilities = "s2", nil
	shared := pidOf(t, s, legacyClient(), "pid")
	for name, client := range map[string]rpc.Client{"other session": other, "modern": modernClient(), "gateway": {Era: rpc.Modern}} {
		if pid := pidOf(t, s, client, "pid"); pid != shared {
			t.Errorf("%s has its own process", name)
		}
	}
	a, b := pidOf(t, s, asking("a"), "pid"), pidOf(t, s, asking("b"), "pid")
	if a == shared || b == shared || a == b {
		t.Errorf("processes %d, %d and %d", shared, a, b)
	}
	if again := pidOf(t, s, asking("a"), "pid"); again != a {
		t.Errorf("session a moved from %d to %d", a, again)
	}
	s.EndSession("a")
	eventually(t, "the session's process is gone", func() bool { return gone(a) })
	if gone(b) || gone(shared) {
		t.Error("others lost theirs")
	}
}

func TestQuestionsBetweenCallsAreFewAndWait(t *testing.T) {
	t.Parallel()
	c, calls := unconnected(true)
	for _, k := range calls {
		_ = k.Close()
	}
	for i := range 2 * maxOrphans {
		c.receive(t.Context(), &buffer{fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"elicitation/create"}`, i)})
	}
	m := rpc.NewRequest(rpc.NumberID(1), mcp.ToolsCall, nil)
	source, err := c.send(t.Context(), newExchange(&rpc.Call{Message: m, Method: &rpc.Method{}}, c.hop()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	for i := range maxOrphans {
		if q, err := source.Next(); err != nil || q.ID.Raw() != fmt.Sprint(i) {
			t.Fatalf("question %d: %v %v", i, q, err)
		}
	}
}

func TestQuestionsBetweenCallsOfSeveralClientsAreRefused(t *testing.T) {
	t.Parallel()
	c, calls := unconnected(true)
	c.turns = true
	for _, k := range calls {
		_ = k.Close()
	}
	c.receive(t.Context(), &buffer{[]byte(`{"jsonrpc":"2.0","id":"late","method":"elicitation/create"}`)})
	if len(c.orphans) != 0 {
		t.Error("the next client is going to be asked")
	}
}

// The gateway lists on the links of clients, and cannot be asked itself.
func TestQuestionsPassByTheGatewaysOwnLists(t *testing.T) {
	t.Parallel()
	c, calls := unconnected(true)
	list := rpc.NewRequest(rpc.NumberID(1), mcp.ToolsList, nil)
	source, err := c.send(t.Context(), newExchange(&rpc.Call{Message: list, Method: &rpc.Method{Dest: rpc.Every}}, c.hop()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	c.receive(t.Context(), &buffer{[]byte(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}`)})
	if q, err := calls[1].Next(); err != nil || q.Method != mcp.ElicitationCreate {
		t.Error(q, err)
	}
}

func TestCorner5_20_TheClientsTimeToAnswerDoesNotCount(t *testing.T) { // alone, because it is about time
	for name, cfg := range map[string]config.Upstream{"stdio": scripted("legacy"), "http": remote(t, sdkHandler(nil))} {
		t.Run(name, func(t *testing.T) {
			cfg.Era, cfg.Timeout = "legacy", 300*time.Millisecond
			s := newServer(t, cfg)
			if _, err := s.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "elicit", `{"text":""}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			question, err := reply.Next()
			if err != nil {
				t.Fatal(err)
			}
			response := make(chan error, 1)
			go func() {
				_, err := reply.Next()
				response <- err
			}()
			time.Sleep(3 * cfg.Timeout)
			if err := reply.Answer(rpc.NewResult(question.ID, []byte(`{"action":"cancel"}`))); err != nil {
				t.Fatal(err)
			}
			if err := <-response; err != nil {
				t.Error(err)
			}
		})
	}
}
