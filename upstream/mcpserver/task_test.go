package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/test/fake"
)

const taskCapabilities = `{"tools":{},"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}}`

func taskText(status string) string {
	return `{"taskId":"t1","status":"` + status + `","statusMessage":"is ` + status + `","ttl":null,"pollInterval":1}`
}

// taskServer is a legacy server that begins a task for each call. What it answers to the
// methods of tasks is for the test to say; nil is a task that works.
func taskServer(t *testing.T, answers map[string]func(w http.ResponseWriter, r received)) (*subscribable, *Server) {
	t.Helper()
	sv := newSubscribable(taskCapabilities)
	sv.answer = func(w http.ResponseWriter, r received) {
		if f := answers[r.method]; f != nil {
			f(w, r)
			return
		}
		switch r.method {
		case mcp.ToolsCall:
			answerJSON(w, 200, result(r.id, `{"task":`+taskText("working")+`}`))
		case mcp.TasksResult:
			answerJSON(w, 200, result(r.id, `{"content":[],"_meta":{"`+mcp.MetaTask+`":{"taskId":"t1"},"x":1}}`))
		default:
			answerJSON(w, 200, result(r.id, taskText("working")))
		}
	}
	s, _ := watched(t, sv, "legacy")
	return sv, s
}

// taskCall is a call of a tool that runs as a task.
func taskCall(t *testing.T, more string) *rpc.Call {
	t.Helper()
	c := newCall(t, rpc.Client{Era: rpc.Legacy, Revision: mcp.LatestLegacy},
		`{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"dig","arguments":{}`+more+`}}`)
	c.Target = rpc.Target{Kind: rpc.Tool, Upstream: "files", Own: "dig", Task: true}
	return c
}

// status answers with tasks in these states, one after the other.
func status(states ...string) func(w http.ResponseWriter, r received) {
	var n atomic.Int32
	return func(w http.ResponseWriter, r received) {
		i := min(int(n.Add(1)), len(states)) - 1
		answerJSON(w, 200, result(r.id, taskText(states[i])))
	}
}

func TestTaskRunsToItsResult(t *testing.T) {
	t.Parallel()
	sv, s := taskServer(t, map[string]func(http.ResponseWriter, received){mcp.TasksGet: status("working", "working", "completed")})
	a := mustRun(t, s, taskCall(t, `,"_meta":{"progressToken":"p"},"task":{"ttl":5}`))
	if want := `{"jsonrpc":"2.0","id":"mine","result":{"content":[],"_meta":{"x":1}}}`; textOf(a.response) != want {
		t.Errorf("got %s", textOf(a.response))
	}
	var told []string
	for _, m := range a.before {
		told = append(told, textOf(m))
	}
	const progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"message":"is %s","progressToken":"p","progress":%d}}`
	if got := strings.Join(told, "\n"); got != fmt.Sprintf(progress, "working", 1)+"\n"+fmt.Sprintf(progress, "completed", 2) &&
		got != fmt.Sprintf(progress, "working", 1) { // the response need not wait for the last words
		t.Errorf("told %s", got)
	}
	if begun := sv.find("POST", mcp.ToolsCall)[0].body; !strings.Contains(begun, `"task":{}`) {
		t.Errorf("the client's own wish for a task was passed on: %s", begun)
	}
	if len(s.tasks.all) != 0 || len(sv.find("POST", mcp.TasksCancel)) != 0 {
		t.Error("something is left of the task")
	}
}

func TestTasksThatComeToNothing(t *testing.T) {
	t.Parallel()
	unknown := func(w http.ResponseWriter, r received) {
		answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32602,"message":"no such task"}}`)
	}
	down := func(w http.ResponseWriter, _ received) { w.WriteHeader(http.StatusBadGateway) }
	for name, test := range map[string]struct {
		method string
		answer func(http.ResponseWriter, received)
		says   string
	}{
		"the server cancels it":    {mcp.TasksGet, status("working", "cancelled"), `cancelled the task: "is cancelled"`},
		"the server forgets it":    {mcp.TasksGet, unknown, `lost the task: "no such task"`},
		"a state that is none":     {mcp.TasksGet, status("dreaming"), "dreaming"},
		"the server cannot be had": {mcp.TasksGet, down, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s := taskServer(t, map[string]func(http.ResponseWriter, received){test.method: test.answer})
			_, err := run(t.Context(), s, taskCall(t, ""))
			if e := rpc.AsError(err); err == nil || e.Upstream != "files" || !strings.Contains(e.Message, test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A server may answer such a call as any other: with a result or an error.
func TestServerThatBeginsNoTask(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"result":         `"result":{"content":[]}`,
		"error":          `"error":{"code":-32602,"message":"no"}`,
		"no task's id":   `"result":{"task":{"status":"working"}}`,
		"no task at all": `"result":{"task":7}`,
	} {
		_, s := taskServer(t, map[string]func(http.ResponseWriter, received){
			mcp.ToolsCall: func(w http.ResponseWriter, r received) {
				answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+r.id+`,`+answer+`}`)
			},
		})
		a := mustRun(t, s, taskCall(t, ""))
		if want := `{"jsonrpc":"2.0","id":"mine",` + answer + `}`; textOf(a.response) != want {
			t.Errorf("%s: got %s", name, textOf(a.response))
		}
	}
}

// A result whose stream broke is fetched again: the task goes on all the same.
func TestResultIsFetchedAgain(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	_, s := taskServer(t, map[string]func(http.ResponseWriter, received){
		mcp.TasksGet: status("input_required"),
		mcp.TasksResult: func(w http.ResponseWriter, r received) {
			if tries.Add(1) < 3 {
				panic(http.ErrAbortHandler)
			}
			answerJSON(w, 200, result(r.id, `{"content":[]}`))
		},
	})
	mustRun(t, s, taskCall(t, ""))
}

// Progress that comes on the session's stream while nothing is asked is the call's too, and
// never falls.
func TestProgressBetweenRequests(t *testing.T) {
	t.Parallel()
	var proceed atomic.Bool
	var sv *subscribable
	sv, s := taskServer(t, map[string]func(http.ResponseWriter, received){
		mcp.TasksGet: func(w http.ResponseWriter, r received) {
			state := "working"
			if proceed.Load() {
				state = "completed"
			}
			answerJSON(w, 200, result(r.id, `{"taskId":"t1","status":"`+state+`","pollInterval":1}`))
		},
	})
	reply, err := s.Handle(t.Context(), taskCall(t, `,"_meta":{"progressToken":7}`))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	if m, err := reply.Next(); err != nil || !strings.Contains(textOf(m), `"is working"`) {
		t.Fatalf("got %v, %v", m, err)
	}
	eventually(t, "it is asked for", func() bool { return len(sv.find("POST", mcp.TasksGet)) > 0 })
	token := sv.find("POST", mcp.ToolsCall)[0].token
	for _, value := range []string{"5", "4", "6"} {
		sv.events <- `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":` + value + `}}`
	}
	for _, want := range []string{"5", "6"} {
		m, err := reply.Next()
		if text := textOf(m); err != nil || !strings.HasSuffix(text, `"progressToken":7,"progress":`+want+`}}`) {
			t.Errorf("got %s, %v", text, err)
		}
	}
	proceed.Store(true)
	if m, err := reply.Next(); err != nil || !m.IsResponse() {
		t.Errorf("got %v, %v", m, err)
	}
}

// A task is cancelled whenever its client gives up, also before it is known which it is.
func TestTaskIsCancelled(t *testing.T) {
	t.Parallel()
	create := make(chan struct{})
	for name, answers := range map[string]map[string]func(http.ResponseWriter, received){
		"while it is begun": {mcp.ToolsCall: func(w http.ResponseWriter, r received) {
			<-create
			answerJSON(w, 200, result(r.id, `{"task":`+taskText("working")+`}`))
		}},
		"while it works":      {},
		"while it is fetched": {mcp.TasksGet: status("completed"), mcp.TasksResult: func(_ http.ResponseWriter, r received) { <-r.ctx.Done() }},
	} {
		t.Run(name, func(t *testing.T) {
			sv, s := taskServer(t, answers)
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := run(ctx, s, taskCall(t, ""))
				ended <- err
			}()
			method := map[string]string{"while it is begun": mcp.ToolsCall, "while it works": mcp.TasksGet, "while it is fetched": mcp.TasksResult}[name]
			eventually(t, method, func() bool { return len(sv.find("POST", method)) > 0 })
			enough := errors.New("enough")
			cancel(enough)
			if method == mcp.ToolsCall {
				close(create)
			}
			if err := <-ended; !errors.Is(err, enough) {
				t.Errorf("ended with %v", err)
			}
			if want := method != mcp.TasksResult; (len(sv.find("POST", mcp.TasksCancel)) == 1) != want {
				t.Errorf("%d tasks were cancelled", len(sv.find("POST", mcp.TasksCancel)))
			}
		})
	}
}

// A server that does not say that tasks can be cancelled is not asked to.
func TestTaskThatCannotBeCancelled(t *testing.T) {
	t.Parallel()
	sv, s := taskServer(t, nil)
	sv.initial = func(w http.ResponseWriter, id string) {
		answerJSON(w, 200, result(id, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{}},"serverInfo":{"name":"s","version":"1"}}`))
	}
	ctx, cancel := context.WithCancel(t.Context())
	reply, err := s.Handle(ctx, taskCall(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := reply.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := reply.Close(); err != nil || len(sv.find("POST", mcp.TasksCancel)) != 0 {
		t.Errorf("close: %v; cancelled all the same", err)
	}
}

func TestPollInterval(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`1`: "50ms", `250`: "250ms", `1e9`: "1m0s", `-1`: "1s", `"x"`: "1s", `1.5e3`: "1.5s"} {
		o, err := rpc.ReadObject([]byte(`{"status":"working","pollInterval":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		var task legacyTask
		task.set(o)
		if got := task.interval().String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Tasks that are cancelled at whatever point of theirs leave nothing that goes on.
func TestTasksAreCancelledAtAnyPoint(t *testing.T) {
	t.Parallel()
	const n = 150
	tasks := &fake.LegacyTasks{Poll: time.Millisecond, Looks: 2}
	server := fake.New(fake.Config{Eras: fake.Legacy, LegacyTasks: tasks, Tools: tasks.Tools(), Capabilities: []byte(taskCapabilities)})
	t.Cleanup(server.Close)
	s, _ := watched(t, server, "legacy")
	client := rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern, Capabilities: []byte(`{"elicitation":{"form":{}}}`)}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c := newCall(t, client, modernToolCall("1", "asks", `{}`))
			c.Target.Task, c.Principal.User = true, fmt.Sprint(i%8)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
			defer cancel()
			reply, err := s.Handle(ctx, c)
			if err != nil {
				return
			}
			for {
				m, err := reply.Next()
				if err != nil {
					break
				}
				if m.IsRequest() && i%2 == 0 {
					_ = reply.Answer(rpc.NewResult(m.ID, []byte(`{"action":"accept"}`)))
				}
			}
			if err := reply.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ended := map[string]int{}
	for i := range n {
		eventually(t, fmt.Sprintf("task %d has ended", i), func() bool {
			status, _ := tasks.Status(i)
			if status != "working" && status != "input_required" {
				ended[status]++
				return true
			}
			return false
		})
	}
	if ended["cancelled"] == 0 {
		t.Errorf("they ended as %v", ended)
	}
	if len(s.tasks.all) != 0 {
		t.Errorf("%d tasks are left", len(s.tasks.all))
	}
}

// A response that came while the upstream was being closed was taken by nobody. Who still
// waits for it is told, and not left with neither.
func TestTaskResponseAtShutdown(t *testing.T) {
	t.Parallel()
	s := &Server{fault: fault{"x"}, life: newLifetime()}
	r := &taskRun{s: s, ctx: t.Context(), out: make(chan *rpc.Message), done: make(chan struct{})}
	if err := s.life.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.emit(rpc.NewResult(rpc.NumberID(1), []byte("{}"))) {
		t.Fatal("somebody took the response")
	}
	close(r.done)
	if m, err := r.Next(); m != nil || rpc.AsError(err).Code != rpc.UpstreamDown {
		t.Errorf("%v, %v", m, err)
	}
}
