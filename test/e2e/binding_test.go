package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake"
)

// answerOf is what a client can see of an answer, without what differs between any
// two.
func answerOf(res *http.Response, body string) string {
	fields := []string{}
	for name, values := range res.Header {
		if name != "Date" {
			fields = append(fields, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(fields)
	return fmt.Sprintln(res.StatusCode, fields, body)
}

// T3: to everybody but who opened it a session is one that never was, on every verb
// and whatever else is wrong with the request.
func TestT3_SessionsOfOthersLookUnknown(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	section, key := keys("acme", "evil")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	url := endpoint(g, "/mcp")
	mine := openSession(t, url, key["acme"])
	if res, _ := (&raw{t: t, url: url}).post(listTools, as(key["acme"], map[string]string{"Mcp-Session-Id": mine})); res.StatusCode != http.StatusOK {
		t.Fatalf("the session is of no use to its owner: %s", res.Status)
	}
	fields := func(session string, more map[string]string) map[string]string {
		out := as(key["evil"], map[string]string{"Mcp-Session-Id": session})
		maps.Copy(out, more)
		return out
	}
	post := func(body string, more map[string]string) func(session string) (*http.Response, string) {
		return func(session string) (*http.Response, string) {
			return (&raw{t: t, url: url}).post(body, fields(session, more))
		}
	}
	bare := func(method string, more map[string]string) func(session string) (*http.Response, string) {
		return func(session string) (*http.Response, string) {
			res := attempt(t, method, url, fields(session, more))
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			return res, string(body)
		}
	}
	stream := map[string]string{"Accept": "text/event-stream"}
	unknown := changed(mine, len(mine)/2)
	for name, ask := range map[string]func(session string) (*http.Response, string){
		"POST":                    post(listTools, nil),
		"a call":                  post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"one__echo","arguments":{}}}`, nil),
		"an answer":               post(`{"jsonrpc":"2.0","id":1,"result":{}}`, nil),
		"a cancel":                post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, nil),
		"a method nobody has":     post(`{"jsonrpc":"2.0","id":7,"method":"server/discover"}`, nil),
		"a revision nobody has":   post(listTools, map[string]string{"MCP-Protocol-Version": "1999-01-01"}),
		"a batch":                 post("["+listTools+"]", nil),
		"GET":                     bare(http.MethodGet, stream),
		"GET of something else":   bare(http.MethodGet, map[string]string{"Accept": "text/html"}),
		"a resumed stream":        bare(http.MethodGet, map[string]string{"Accept": "text/event-stream", "Last-Event-ID": "1-1"}),
		"a stream that never was": bare(http.MethodGet, map[string]string{"Accept": "text/event-stream", "Last-Event-ID": "nonsense"}),
		"DELETE":                  bare(http.MethodDelete, nil),
		"DELETE of a revision":    bare(http.MethodDelete, map[string]string{"MCP-Protocol-Version": "1999-01-01"}),
	} {
		foreign, never := answerOf(ask(mine)), answerOf(ask(unknown))
		if foreign != never || !strings.HasPrefix(foreign, "404 ") {
			t.Errorf("%s: of another client\n%s\nof nobody\n%s", name, foreign, never)
		}
	}
	if res, body := (&raw{t: t, url: url}).post(listTools, as(key["acme"], map[string]string{"Mcp-Session-Id": mine})); res.StatusCode != http.StatusOK {
		t.Errorf("the session did not survive: %s: %s", res.Status, body)
	}
	for i := range len(mine) {
		res, body := (&raw{t: t, url: url}).post(listTools, as(key["acme"], map[string]string{"Mcp-Session-Id": changed(mine, i)}))
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("byte %d changed: %s: %s", i, res.Status, body)
		}
	}
}

// changed replaces one character of a handle.
func changed(handle string, at int) string {
	other := byte('A')
	if handle[at] == other {
		other = 'B'
	}
	return handle[:at] + string(other) + handle[at+1:]
}

// A request in flight cannot be noticed by its id from outside of its session.
func TestT3_CallsInFlightAreNotSeenByOthers(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Tools: []fake.Tool{{Name: "wait", Behaviour: fake.Hang}}})
	section, key := keys("acme", "evil")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	url := endpoint(g, "/mcp")
	mine := openSession(t, url, key["acme"])
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"one__wait","arguments":{},"_meta":{"progressToken":"p"}}}`
	go func() {
		defer close(done)
		if res, err := (&raw{t: t, url: url}).send(ctx, call, as(key["acme"], map[string]string{"Mcp-Session-Id": mine})); err == nil {
			_, _ = io.ReadAll(res.Body)
			res.Body.Close()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	// Its owner is told that the id is taken, as soon as the call has begun.
	for deadline := time.Now().Add(30 * time.Second); ; {
		res, _ := (&raw{t: t, url: url}).post(`{"jsonrpc":"2.0","id":7,"method":"ping"}`, as(key["acme"], map[string]string{"Mcp-Session-Id": mine}))
		if res.StatusCode == http.StatusBadRequest {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the call did not begin")
		}
	}
	ping := func(session, id string) string {
		return answerOf((&raw{t: t, url: url}).post(`{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`, as(key["evil"], map[string]string{"Mcp-Session-Id": session})))
	}
	taken, free := ping(mine, "7"), ping(mine, "8")
	if never := ping(changed(mine, len(mine)/2), "7"); taken != never || strings.ReplaceAll(free, `"id":8`, `"id":7`) != never {
		t.Errorf("id in flight\n%s\nanother id\n%s\nno session\n%s", taken, free, never)
	}
}

// T4: what a client was given to come back with is good for it alone.
func TestT4_HandlesOfOthersLookUnknown(t *testing.T) {
	t.Parallel()
	tools := make([]fake.Tool, 0, 1200)
	for i := range 1200 {
		tools = append(tools, fake.Tool{Name: fmt.Sprint("tool", i), Behaviour: fake.Echo})
	}
	_, server := fakeUpstream(t, fake.Config{Name: "one", Tools: tools})
	section, key := keys("acme", "evil")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	list := func(who, cursor string) string {
		body, fields := modernList()
		if cursor != "" {
			body = strings.Replace(body, `"params":{`, `"params":{"cursor":"`+cursor+`",`, 1)
		}
		_, text := r.post(body, as(key[who], fields))
		return text
	}
	var page struct {
		Result struct {
			Cursor string `json:"nextCursor"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(list("acme", "")), &page); err != nil || page.Result.Cursor == "" {
		t.Fatalf("no second page: %v", err)
	}
	cursor := page.Result.Cursor
	if got := list("acme", cursor); !strings.Contains(got, `"tools"`) {
		t.Errorf("the cursor is of no use to its owner: %.200s", got)
	}
	foreign, never := list("evil", cursor), list("evil", changed(cursor, len(cursor)/2))
	if foreign != never || !strings.Contains(foreign, "-32602") {
		t.Errorf("of another client\n%s\nof nobody\n%s", foreign, never)
	}
}

// The id of a task is good for whom it was given to, and every other one is unknown in
// the same words.
func TestT4_TasksOfOthersLookUnknown(t *testing.T) {
	t.Parallel()
	tasks := &fake.Tasks{}
	_, server := fakeUpstream(t, fake.Config{
		Name: "slow", Eras: fake.Modern, Tasks: tasks, Tools: []fake.Tool{tasks.Tool("dig")},
		Capabilities: json.RawMessage(`{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`),
	})
	section, key := keys("acme", "evil")
	url := endpoint(startGateway(t, section+"upstreams:\n"+httpUpstream("slow", server)), "/mcp")
	client := func(who string) *taskClient {
		return &taskClient{&raw{t: t, url: url, key: key[who]}, tasksDeclared}
	}
	begun := client("acme").send("tools/call", "name", "slow__dig", `,"arguments":{}`)
	id := begun.Result.TaskID
	if id == "" {
		t.Fatalf("no task: %+v", begun)
	}
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		more := ""
		if method == "tasks/update" {
			more = `,"inputResponses":{}`
		}
		foreign, never := client("evil").send(method, "taskId", id, more), client("evil").send(method, "taskId", changed(id, len(id)/2), more)
		if diff := cmp.Diff(foreign, never); diff != "" || foreign.Error.Code != -32602 {
			t.Errorf("%s: %+v\n%s", method, foreign, diff)
		}
	}
	if got := client("acme").send("tasks/get", "taskId", id, ""); got.Error.Code != 0 || got.Result.Status == "cancelled" {
		t.Errorf("the task of its owner: %+v", got)
	}
}

// What a server says on a connection that clients share, and of no call, may be about a
// call of one of them: it is shown to none.
func TestT25_LogsOfSharedConnectionsAreShownToNobody(t *testing.T) {
	t.Parallel()
	server, url := startChanging(t, "legacy")
	section, key := keys("acme", "evil")
	g := startGateway(t, section+fmt.Sprintf("upstreams:\n  up: {url: %q, era: legacy}\n", url))
	client := func(who string) <-chan string {
		r := &raw{t: t, url: endpoint(g, "/mcp"), key: key[who]}
		r.session = openSession(t, r.url, r.key)
		r.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, nil)
		r.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"up__first","arguments":{}}}`, nil)
		return r.hearing()
	}
	clients := map[string]<-chan string{"acme": client("acme"), "evil": client("evil")}
	ticking, stop := context.WithCancel(t.Context())
	defer stop()
	go server.tick(ticking)
	server.addTool("second") // comes after logs
	for who, heard := range clients {
		told := false
		for m := range heard {
			if strings.Contains(m, "notifications/message") {
				t.Errorf("%s hears %s", who, m)
				break
			}
			if told = strings.Contains(m, "tools/list_changed"); told {
				break
			}
		}
		if !told {
			t.Errorf("%s did not hear of the new tool", who)
		}
	}
}
