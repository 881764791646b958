package mcpserver

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc/mcp"
)

const extended = `{"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}`

// Tasks are listened for beside resources, by a client that has the extension.
func TestTasksAreFollowed(t *testing.T) {
	t.Parallel()
	ls := newListener(extended)
	s, n := watched(t, ls, "auto")
	subscribe(t, s, "a:1")
	if first := ls.find("POST", mcp.Listen)[0].body; strings.Contains(first, "extensions") {
		t.Errorf("tasks are declared where nobody follows one: %s", first)
	}
	if agreed, err := s.Follow(t.Context(), []string{"t2", "t1"}); err != nil || !slices.Equal(agreed, []string{"t2", "t1"}) {
		t.Fatalf("%v, %v", agreed, err)
	}
	st := ls.stream(t, 1)
	if want := `{"resourceSubscriptions":["a:1"],"taskIds":["t1","t2"]}`; st.filter != want {
		t.Errorf("asked for %s", st.filter)
	}
	if body := ls.find("POST", mcp.Listen)[1].body; !strings.Contains(body, `"extensions":{"io.modelcontextprotocol/tasks":{}}`) {
		t.Errorf("the extension is not declared: %s", body)
	}
	st.events <- st.notification("tasks", `"taskId":"t1","status":"working"`)
	eventually(t, "the notification is passed on", func() bool { return n.has("tasks") })
	s.Unfollow([]string{"t1", "t2"})
	if st := ls.stream(t, 2); st.filter != `{"resourceSubscriptions":["a:1"]}` {
		t.Errorf("at last asked for %s", st.filter)
	}
}

// What nobody could tell while there was no stream is asked for when there is one again.
func TestTasksAreAskedForAfterAGap(t *testing.T) {
	t.Parallel()
	ls := newListener(extended)
	ls.answer = func(w http.ResponseWriter, r received) {
		if r.method == mcp.TasksGet {
			answerJSON(w, 200, result(r.id, `{"resultType":"complete","taskId":"t1","uri":"now","status":"completed"}`))
			return
		}
		ls.listen(w, r)
	}
	s, n := watched(t, ls, "auto")
	if _, err := s.Follow(t.Context(), []string{"t1"}); err != nil {
		t.Fatal(err)
	}
	close(ls.stream(t, 0).cut)
	eventually(t, "its state is told", func() bool { return n.has("tasks now") })
	got := ls.find("POST", mcp.TasksGet)
	if len(got) != 1 || got[0].header.Get("Mcp-Name") != "t1" || !strings.Contains(got[0].body, "extensions") {
		t.Errorf("asked %+v", got)
	}
}

// Servers without the extension are not asked for tasks.
func TestTasksOfServersThatHaveNone(t *testing.T) {
	t.Parallel()
	modern := newListener(`{"resources":{"subscribe":true}}`)
	s, _ := watched(t, modern, "auto")
	if agreed, err := s.Follow(t.Context(), []string{"t1"}); err == nil || agreed != nil || len(modern.find("POST", mcp.Listen)) != 0 {
		t.Errorf("modern: %v, %v", agreed, err)
	}
	legacy := newSubscribable(`{"resources":{"subscribe":true}}`)
	s, _ = watched(t, legacy, "legacy")
	if agreed, err := s.Follow(t.Context(), []string{"t1"}); err == nil || agreed != nil || len(legacy.find("POST", mcp.Subscribe)) != 0 {
		t.Errorf("legacy: %v, %v", agreed, err)
	}
}

// A server that refuses a stream for a task that it has forgotten still tells of the rest.
func TestTaskThatCostsTheStream(t *testing.T) {
	t.Parallel()
	ls := newListener(extended)
	ls.answer = func(w http.ResponseWriter, r received) {
		if strings.Contains(r.body, "forgotten") {
			answerJSON(w, 400, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32602,"message":"no such task"}}`)
			return
		}
		ls.listen(w, r)
	}
	s, n := watched(t, ls, "auto")
	subscribe(t, s, "a:1")
	if agreed, err := s.Follow(t.Context(), []string{"forgotten"}); err == nil || agreed != nil {
		t.Errorf("%v, %v", agreed, err)
	}
	st := ls.stream(t, 0)
	if !st.live() {
		t.Error("the stream has ended")
	}
	st.events <- st.notification("resources/updated", `"uri":"a:1"`)
	eventually(t, "resources are told of", func() bool { return n.has("resources/updated a:1") })
}
