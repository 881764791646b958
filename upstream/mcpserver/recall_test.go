package mcpserver

import (
	"errors"
	"net/http"
	"testing"

	"github.com/headgate/headgate/rpc"
)

const (
	askedQuestion = `{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}`
	takenBack     = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1","reason":"slow"}}`
)

// A question that its server takes back is taken back from the client, once, and cannot be
// answered any more. Nor does the call wait for it.
func TestQuestionsThatTheServerTakesBack(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	onItsStream := &script{answer: func(w http.ResponseWriter, r received) {
		answerEvents(w, event(askedQuestion), event(takenBack), event(takenBack), event(result(r.id, `{"ok":true}`)))
	}}
	say, finish := make(chan string, 3), make(chan struct{})
	onTheSessions := &script{
		answer: func(w http.ResponseWriter, r received) {
			<-ready
			answerEvents(w, ": open\n\n")
			say <- askedQuestion
			say <- takenBack
			say <- takenBack
			<-finish
			answerEvents(w, event(result(r.id, `{"ok":true}`)))
		},
		get: func(w http.ResponseWriter, r *http.Request) {
			answerEvents(w, ": open\n\n")
			close(ready)
			for {
				select {
				case text := <-say:
					answerEvents(w, event(text))
				case <-r.Context().Done():
					return
				}
			}
		},
	}
	for name, s := range map[string]*Server{
		"stdio": legacyServer(t), "the call's stream": newServer(t, remote(t, onItsStream)), "the session's stream": newServer(t, remote(t, onTheSessions)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := s.Handle(t.Context(), newCall(t, asking("s7"), toolCall("1", "elicit-briefly", `{}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			for _, want := range []string{askedQuestion, takenBack} {
				if m, err := reply.Next(); err != nil || textOf(m) != want {
					t.Fatalf("got %v, %v; want %s", m, err, want)
				}
			}
			if name == "the session's stream" {
				close(finish)
			}
			if err := reply.Answer(rpc.NewResult(rpc.StringID("q1"), []byte(`{}`))); !errors.Is(err, rpc.ErrNoQuestion) {
				t.Errorf("it was answered: %v", err)
			}
			if m, err := reply.Next(); err != nil || !m.IsResponse() {
				t.Errorf("got %v, %v; want the response", m, err)
			}
		})
	}
}
