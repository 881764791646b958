package mcpserver

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// questioner is a server that puts its questions on the session's stream.
type questioner struct {
	script
	ask      chan string   // events for the session's stream
	opened   chan struct{} // closed when the stream is
	answered chan struct{} // closed when the question has an answer
}

// ServeHTTP notes that the question q has its answer.
func (q *questioner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte(`"id":"q"`)) {
		defer close(q.answered)
	}
	q.script.ServeHTTP(w, r)
}

func newQuestioner(answer func(q *questioner, w http.ResponseWriter, r received)) *questioner {
	q := &questioner{ask: make(chan string, 16), opened: make(chan struct{}), answered: make(chan struct{})}
	q.answer = func(w http.ResponseWriter, r received) { answer(q, w, r) }
	q.get = func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w, ": open\n\n")
		close(q.opened)
		for {
			select {
			case text := <-q.ask:
				answerEvents(w, event(text))
			case <-r.Context().Done():
				return
			}
		}
	}
	return q
}

const elicitation = `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?"}}`

// heard waits for the answer to the question q.
func (q *questioner) heard(t *testing.T) (body string) {
	t.Helper()
	eventually(t, "the question is answered", func() bool {
		for _, r := range q.find("POST", "") {
			if r.method == "" && r.id == `"q"` {
				body = r.body
			}
		}
		return body != ""
	})
	return body
}

func TestQuestionOnTheSessionsStream(t *testing.T) { // reference sections 4.0 and 4.2
	t.Parallel()
	for name, answer := range map[string]func(q *questioner, w http.ResponseWriter, r received){
		"while the call's stream is silent": func(q *questioner, w http.ResponseWriter, r received) {
			answerEvents(w, ": wait\n\n")
			q.ask <- elicitation
			<-q.answered
			answerEvents(w, event(result(r.id, `{"ok":true}`)))
		},
		"before the call is answered at all": func(q *questioner, w http.ResponseWriter, r received) {
			q.ask <- elicitation
			<-q.answered
			answerJSON(w, 200, result(r.id, `{"ok":true}`))
		},
		"after the call was merely accepted": func(q *questioner, w http.ResponseWriter, r received) {
			w.WriteHeader(http.StatusAccepted)
			q.ask <- elicitation
			go func() {
				<-q.answered
				q.ask <- result(r.id, `{"ok":true}`)
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQuestioner(func(q *questioner, w http.ResponseWriter, r received) {
				<-q.opened
				answer(q, w, r)
			})
			s := newServer(t, remote(t, q))
			reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("7", "x", `{}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			question, err := reply.Next()
			if err != nil || textOf(question) != elicitation {
				t.Fatalf("%v %v", question, err)
			}
			if err := reply.Answer(rpc.NewResult(question.ID, []byte(`{"action":"accept"}`))); err != nil {
				t.Fatal(err)
			}
			if m, err := reply.Next(); err != nil || textOf(m) != `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}` {
				t.Errorf("%v %v", m, err)
			}
			if got := q.heard(t); got != `{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}` {
				t.Errorf("the server heard %s", got)
			}
		})
	}
}

func TestQuestionOnTheStreamOfASharedSession(t *testing.T) {
	t.Parallel()
	q := newQuestioner(func(q *questioner, w http.ResponseWriter, r received) {
		<-q.opened
		q.ask <- elicitation
		<-q.answered
		answerJSON(w, 200, result(r.id, `{}`))
	})
	a := mustRun(t, newServer(t, remote(t, q)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	if got := q.heard(t); !strings.Contains(got, "-32601") || len(a.before) != 0 {
		t.Errorf("the server heard %s, the client %v", got, a.before)
	}
}

func TestQuestionBetweenCallsWaitsForTheNext(t *testing.T) {
	t.Parallel()
	calls := 0
	q := newQuestioner(func(q *questioner, w http.ResponseWriter, r received) {
		if calls++; calls == 1 {
			answerJSON(w, 200, result(r.id, `{}`))
			return
		}
		<-r.ctx.Done()
	})
	s := newServer(t, remote(t, q))
	mustRun(t, s, newCall(t, asking("a"), toolCall("1", "x", `{}`)))
	<-q.opened
	q.ask <- elicitation
	var l *legacyHTTP
	for _, seat := range s.links.open {
		l = seat.link.(*legacyHTTP)
	}
	eventually(t, "the question arrives", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.orphans) == 1
	})
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("2", "x", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := reply.Next(); err != nil || m.Method != mcp.ElicitationCreate {
		t.Errorf("%v %v", m, err)
	}
	// A call that is closed before its POST was answered is cancelled.
	_ = reply.Close()
	eventually(t, "the server is told", func() bool { return len(q.find("POST", mcp.Cancelled)) == 1 })
}

func TestQuestionThatTheCallLeavesBehindIsRefused(t *testing.T) {
	t.Parallel()
	q := newQuestioner(func(q *questioner, w http.ResponseWriter, r received) {
		<-q.opened
		answerEvents(w, ": wait\n\n")
		<-r.ctx.Done()
	})
	s := newServer(t, remote(t, q))
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "x", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	q.ask <- elicitation
	q.ask <- `{"jsonrpc":"2.0","id":"ping","method":"ping"}`
	eventually(t, "both have arrived", func() bool {
		for _, r := range q.find("POST", "") {
			if r.id == `"ping"` {
				return true
			}
		}
		return false
	})
	_ = reply.Close()
	if got := q.heard(t); !strings.Contains(got, "-32601") {
		t.Errorf("the server heard %s", got)
	}
}
