package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_19_CancelOverHTTP(t *testing.T) {
	t.Parallel()
	for _, era := range []rpc.Era{rpc.Legacy, rpc.Modern} {
		for name, end := range map[string]func(r *rpc.Reply, cancel context.CancelFunc){
			"close":   func(r *rpc.Reply, _ context.CancelFunc) { r.Close() },
			"context": func(_ *rpc.Reply, cancel context.CancelFunc) { cancel() },
		} {
			t.Run(era.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				left := make(chan string, 1)
				h := &script{answer: func(w http.ResponseWriter, r received) {
					answerEvents(w, ": wait\n\n")
					<-r.ctx.Done()
					left <- r.id
				}}
				if era == rpc.Modern {
					h.discover = discovered
				}
				s := newServer(t, remote(t, h))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				reply, err := s.Handle(ctx, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
				if err != nil {
					t.Fatal(err)
				}
				defer reply.Close()
				ended := make(chan error)
				go func() {
					_, err := reply.Next()
					ended <- err
				}()
				end(reply, cancel)
				if err := <-ended; err == nil || name == "context" && !errors.Is(err, context.Canceled) {
					t.Errorf("Next returned %v", err)
				}
				id := <-left
				if era == rpc.Legacy {
					eventually(t, "the server is told", func() bool {
						told := h.find("POST", mcp.Cancelled)
						return len(told) == 1 && strings.Contains(told[0].body, `"requestId":`+id+`,`)
					})
				} else if told := h.find("POST", mcp.Cancelled); len(told) != 0 {
					t.Error("a modern server was told by a notification")
				}
			})
		}
	}
}

func TestCorner5_19_CancelBeforeTheAnswerBegins(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	h := &script{answer: func(_ http.ResponseWriter, r received) {
		close(begun)
		<-r.ctx.Done()
	}}
	s := newServer(t, remote(t, h))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client is gone")
	go func() {
		<-begun
		cancel(gone)
	}()
	if _, err := run(ctx, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); !errors.Is(err, gone) {
		t.Error(err)
	}
	eventually(t, "the server is told", func() bool { return len(h.find("POST", mcp.Cancelled)) == 1 })
}

func TestCorner5_19_SilenceOverHTTPTimesOut(t *testing.T) { // alone, because it is about time
	for name, h := range map[string]*script{
		"no header": {answer: func(_ http.ResponseWriter, r received) { <-r.ctx.Done() }},
		"no event": {answer: func(w http.ResponseWriter, r received) {
			answerEvents(w, ": wait\n\n")
			<-r.ctx.Done()
		}},
		"no response": {answer: func(w http.ResponseWriter, r received) {
			answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`))
			<-r.ctx.Done()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := remote(t, h)
			cfg.Timeout = 200 * time.Millisecond
			s := newServer(t, cfg)
			mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamTimeout)
			eventually(t, "the server is told", func() bool { return len(h.find("POST", mcp.Cancelled)) == 1 })
		})
	}
	t.Run("progress", func(t *testing.T) {
		cfg := remote(t, &script{answer: func(w http.ResponseWriter, r received) {
			for i := range 10 {
				time.Sleep(100 * time.Millisecond)
				answerEvents(w, event(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, r.token, i)))
			}
			answerEvents(w, event(result(r.id, "{}")))
		}})
		cfg.Timeout = 700 * time.Millisecond
		a := mustRun(t, newServer(t, cfg), newCall(t, legacyClient(),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"t"}}}`))
		if len(a.before) != 10 {
			t.Errorf("%d notifications", len(a.before))
		}
	})
}
