package subscription

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// taskCall is a call for a stream by a client that has the extension for tasks.
func taskCall(t *testing.T, filter string) *rpc.Call {
	t.Helper()
	c := call(t, mcp.Listen, "7", `{"notifications":`+filter+`}`)
	c.Client.Capabilities = []byte(`{"extensions":{"io.modelcontextprotocol/tasks":{}}}`)
	return c
}

func changed(t *testing.T, params string) *rpc.Message {
	t.Helper()
	m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","method":"notifications/tasks","params":`+params+`}`), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Clients hear of their tasks by the ids that they were given, and of no others.
func TestTasksAreTold(t *testing.T) {
	t.Parallel()
	s := newStage()
	reply, err := s.Handle(t.Context(), taskCall(t, `{"taskIds":["sealed t1","t2","sealed t1","sealed t3"],"resourceSubscriptions":["two:t1"]}`))
	if err != nil {
		t.Fatal(err)
	}
	const tag = `"_meta":{"io.modelcontextprotocol/subscriptionId":7}`
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":`+
		`{"resourceSubscriptions":["two:t1"],"taskIds":["sealed t1","sealed t3"]},`+tag+`}}`)
	if s.two.holds() != "task:t1 task:t3 two:t1" {
		t.Errorf("asked for %q", s.two.holds())
	}
	s.TaskChanged("one", changed(t, `{"taskId":"t1"}`)) // another server's
	s.TaskChanged("two", changed(t, `{"taskId":"t2"}`)) // nobody wants to hear of it
	s.TaskChanged("two", changed(t, `{"taskId":7}`))
	s.TaskChanged("two", changed(t, `{"taskId":"t1","status":"working","_meta":{"io.modelcontextprotocol/subscriptionId":1}}`))
	s.Updated("two", updated(t, `{"uri":"t1"}`)) // no resource
	expect(t, reply, `{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"sealed t1","status":"working",`+tag+`,"exposed":"two/mcp"}}`)
	if err := reply.Close(); err != nil || s.two.holds() != "" || len(s.topics) != 0 {
		t.Errorf("close: %v; %q is held", err, s.two.holds())
	}
}

// Of what waits to be said of one task only the last is sent: it says all.
func TestTheLastWordOnATaskIsTold(t *testing.T) {
	t.Parallel()
	s := newStage()
	reply, err := s.Handle(t.Context(), taskCall(t, `{"taskIds":["sealed t1","sealed t2"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	if _, err := reply.Next(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxWaiting {
		s.TaskChanged("two", changed(t, fmt.Sprintf(`{"taskId":"t1","statusMessage":"%d"}`, i)))
	}
	s.TaskChanged("two", changed(t, `{"taskId":"t2"}`))
	for _, want := range []string{fmt.Sprintf(`"statusMessage":"%d"`, 3*maxWaiting-1), `"sealed t2"`} {
		if m, err := reply.Next(); err != nil || !strings.Contains(string(m.AppendTo(nil)), want) {
			t.Errorf("got %v, %v, want %s", m, err, want)
		}
	}
}

// A client that leaves too much unread is sent away, by bytes too.
func TestUnreadTasksAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage()
	reply, err := s.Handle(t.Context(), taskCall(t, `{"taskIds":["sealed t1","sealed t2","sealed t3"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	big := strings.Repeat("x", maxWaitingBytes*2/3)
	for _, id := range []string{"t1", "t2", "t3"} {
		s.TaskChanged("two", changed(t, `{"taskId":"`+id+`","result":"`+big+`"}`))
	}
	var got []string
	for range 3 {
		m, err := reply.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Method)
	}
	if strings.Join(got, " ") != mcp.Acknowledged+" "+mcp.TaskChanged+" " {
		t.Errorf("got %q", got)
	}
}

// Who did not declare the extension is told what is missing.
func TestTasksNeedTheExtension(t *testing.T) {
	t.Parallel()
	s := newStage()
	c := taskCall(t, `{"taskIds":[]}`)
	if got := s.respond(t, c); !strings.Contains(got, mcp.Acknowledged) {
		t.Errorf("got %s", got)
	}
	c.Client.Capabilities = []byte(`{}`)
	if got := s.respond(t, c); !strings.Contains(got, `"code":-32021`) || !strings.Contains(got, `"requiredCapabilities"`) {
		t.Errorf("got %s", got)
	}
	for _, filter := range []string{`{"taskIds":7}`, `{"taskIds":[7]}`} {
		if _, err := s.Handle(t.Context(), taskCall(t, filter)); rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%s: %v", filter, err)
		}
	}
}
