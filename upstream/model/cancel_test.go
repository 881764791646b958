package model_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/model"
)

// errGone is why the client's context ends in these tests.
var errGone = &rpc.Error{Code: rpc.Cancelled, Message: "the client has left"}

// leaving is a server that streams until its client has left, and says when that was.
func leaving(t *testing.T, kind, part string) (url string, left <-chan time.Time) {
	t.Helper()
	gone := make(chan time.Time, 4)
	return mux(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(part))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- time.Now()
	}}), gone
}

// The server knows within a tenth of a second that nobody wants the answer any more.
func TestCancelReachesTheServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg        config.ModelBackend
		kind, part string
	}{
		"openai": {config.ModelBackend{Kind: "openai"}, typeEvents, `data: {"choices":[{"delta":{"content":"A"}}]}` + "\n\n"},
		"ollama": {config.ModelBackend{Kind: "ollama"}, typeLines, `{"response":"A","done":false}` + "\n"},
		"rpc":    {config.ModelBackend{Kind: "rpc"}, typeLines, `{"id":1,"result":{"chunk":{"text":"A"}}}` + "\n"},
	} {
		for how, leave := range map[string]func(cancel context.CancelCauseFunc, reply *rpc.Reply){
			"closed": func(_ context.CancelCauseFunc, reply *rpc.Reply) { _ = reply.Close() },
			"gone":   func(cancel context.CancelCauseFunc, _ *rpc.Reply) { cancel(errGone) },
		} {
			for state, pulls := range map[string]int{"unread": 0, "read": 1, "waiting": 2} {
				t.Run(name+" "+how+" "+state, func(t *testing.T) {
					t.Parallel()
					url, left := leaving(t, tt.kind, tt.part)
					cfg := tt.cfg
					cfg.URL = url
					b := backend(t, cfg)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					c := invoke(t, `{"model":"default","prompt":"a","stream":true}`)
					reply, err := b.Handle(ctx, c)
					if err != nil {
						t.Fatal(err)
					}
					defer reply.Close() //nolint:errcheck // that it can be closed again is a part of it
					ended := make(chan error, 1)
					if pulls == 1 {
						if _, err := reply.Next(); err != nil {
							t.Fatal(err)
						}
					}
					if pulls == 2 {
						go func() {
							_, err := reply.Next()
							for err == nil {
								_, err = reply.Next()
							}
							ended <- err
						}()
						awaitUsage(t, c)
					}
					at := time.Now()
					leave(cancel, reply)
					took := (<-left).Sub(at)
					t.Logf("the server knew after %v", took)
					if took > 5*time.Second { // on a machine that is busy with other tests; the exact bound is that of another test
						t.Errorf("the server knew after %v", took)
					}
					if pulls == 2 {
						if err := <-ended; how == "gone" && !errors.Is(err, errGone) {
							t.Errorf("Next returned %v", err)
						}
					}
					_ = reply.Close()
					if _, err := reply.Next(); err == nil {
						t.Error("there is a message after the end")
					}
					if got := c.Record.Usage(); got.Output < 2 || !got.Estimated {
						t.Errorf("usage %+v: a chunk came, and another token may have been made", got)
					}
				})
			}
		}
	}
}

// awaitUsage waits until a chunk was counted.
func awaitUsage(t *testing.T, c *rpc.Call) {
	t.Helper()
	for c.Record.Usage().Output == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("no chunk came")
		case <-time.After(time.Millisecond):
		}
	}
}

// A call whose client leaves before there is an answer is given up at once, whatever its form.
func TestCancelBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"true", "false"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			came, left := make(chan struct{}), make(chan struct{})
			url := mux(t, map[string]http.HandlerFunc{"/": func(_ http.ResponseWriter, r *http.Request) {
				buf := make([]byte, 1<<10)
				for {
					if _, err := r.Body.Read(buf); err != nil {
						break
					}
				}
				close(came)
				<-r.Context().Done()
				close(left)
			}})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := invoke(t, `{"model":"default","prompt":"a","max_tokens":7,"stream":`+stream+`}`)
			go func() {
				<-came
				cancel(errGone)
			}()
			_, err := backend(t, openAI(url)).Handle(ctx, c)
			if !errors.Is(err, errGone) {
				t.Errorf("%v", err)
			}
			<-left
			if got, want := c.Record.Usage(), (rpc.Usage{Input: 8, Output: 7, Estimated: true}); got != want {
				t.Errorf("usage %+v, want %+v", got, want)
			}
		})
	}
}

// What is counted of an answer that nobody has seen is as much as it can have been.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]int64{
		``: 0, `,"max_tokens":7`: 7, `,"max_tokens":7,"max_completion_tokens":9`: 9, `,"max_tokens":7,"n":3`: 21, `,"max_tokens":7,"n":1e9,"best_of":"x"`: 7,
		`,"max_tokens":7,"options":{"num_predict":30}`: 7, `,"max_tokens":7,"n":99999`: 7 << 10, `,"max_tokens":-1,"options":[]`: 0,
	} {
		url, _ := serve(t, script{status: 500})
		got := ask(t.Context(), t, backend(t, openAI(url)), invoke(t, `{"model":"default","prompt":"a"`+params+`}`))
		if got.Usage.Output != want {
			t.Errorf("%s: usage %+v, want %d", params, got.Usage, want)
		}
	}
}

// Whatever becomes of a stream, what is noted is at least what the engine has made.
func TestNotedIsAtLeastWhatWasMade(t *testing.T) {
	t.Parallel()
	for kind, cfg := range map[string]config.ModelBackend{"openai": openAI("http://engine"), "ollama": ollama("http://engine")} {
		for _, rate := range []float64{10, 100, 400} {
			for read := range 8 {
				t.Run(fmt.Sprint(kind, rate, read), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { leave(t, cfg, rate, read*read) })
				})
			}
		}
	}
}

// notices is how long the engine takes to notice that a connection was closed.
const notices = 30 * time.Millisecond

// leave makes a call, reads so many chunks, lets others come, and closes the reply.
func leave(t *testing.T, cfg config.ModelBackend, rate float64, read int) {
	sim := engine.New(engine.Config{Key: secret, TokenRate: rate, AbortDelay: notices, Length: func(*engine.Request) int { return 300 }})
	client := upstream.NewClient(upstream.ClientConfig{DialContext: sim.Dial})
	defer client.CloseIdle()
	c := invoke(t, `{"model":"default","prompt":"once upon a time","stream":true}`)
	c.Record.ID = "leaves"
	reply, err := backendOf(t, cfg, model.BackendDeps{HTTP: client}).Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range read {
		if _, err := reply.Next(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Duration(read) * 5 * time.Millisecond) // tokens come that nobody reads
	at := time.Now()
	_ = reply.Close()
	noted := c.Record.Usage()
	made := settled(t, sim, c.Record.ID)
	if took := made.Ended.Sub(at) - notices; took > 10*time.Millisecond {
		t.Errorf("the connection was closed after %v", took)
	}
	if noted.Output < made.Output || noted.Input < made.Input {
		t.Errorf("noted %+v, but made %d of %d", noted, made.Output, made.Input)
	}
	if !noted.Estimated || noted.Output > 3*made.Output+20 {
		t.Errorf("noted %+v, made %d", noted, made.Output)
	}
}

// Faults of the engine too leave nothing uncounted.
func TestNotedIsAtLeastWhatWasMadeBeforeAFault(t *testing.T) {
	t.Parallel()
	for _, kind := range []engine.Kind{engine.Reset, engine.Cut, engine.Unfinished, engine.Garbage, engine.StreamError, engine.NoUsage} {
		sim := engine.Start(t, engine.Config{Key: secret})
		sim.Fail(engine.Fault{Kind: kind, After: 5})
		for name, cfg := range map[string]config.ModelBackend{"openai": openAI(sim.URL), "ollama": ollama(sim.URL)} {
			for _, stream := range []string{"true", "false"} {
				t.Run(fmt.Sprint(kind, " ", name, " ", stream), func(t *testing.T) {
					t.Parallel()
					c := invoke(t, `{"model":"default","prompt":"once upon a time","max_tokens":12,"stream":`+stream+`}`)
					c.Record.ID = t.Name()
					got := ask(t.Context(), t, backend(t, cfg), c)
					if (got.Err == nil) != (kind == engine.NoUsage) {
						t.Errorf("error %v", got.Err)
					}
					if got.Err != nil && got.Err.Code != rpc.UpstreamFailed {
						t.Errorf("error %v", got.Err)
					}
					if made := settled(t, sim, c.Record.ID); got.Usage.Output < made.Output || !got.Usage.Estimated {
						t.Errorf("noted %+v, made %+v", got.Usage, made)
					}
				})
			}
		}
	}
}

// settled waits until a request is over, and returns what the engine has of it.
func settled(t *testing.T, sim interface{ Ledger() []engine.Record }, id string) engine.Record {
	t.Helper()
	for {
		for _, r := range sim.Ledger() {
			if r.ID == id && r.Settled {
				return r
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the engine goes on for ever")
		case <-time.After(time.Millisecond):
		}
	}
}
