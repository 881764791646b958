package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/upstream"
)

func TestAPoolUsesAllOfItsBackends(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"sdk-sessions", "sdk-stateless"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			p := openPool(t, poolOf(urlsOf(startProcesses(t, script, 2))...))
			if d, err := p.Describe(t.Context()); err != nil || d.Instructions != "from the sdk" {
				t.Fatalf("%+v %v", d, err)
			}
			for _, c := range []rpc.Client{legacyClient(), modernClient()} {
				seen := map[string]bool{}
				for range 40 {
					pid, _, _ := strings.Cut(servedBy(t, p, c), " session")
					seen[pid] = true
				}
				if len(seen) != 2 {
					t.Errorf("%s clients are served by %d of 2 backends", c.Era, len(seen))
				}
			}
			if s := p.State(); s.Status != Up {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// A session in which a server can ask stays where it is, and is opened elsewhere when its server dies.
func TestSessionsOfTheirOwnArePinned(t *testing.T) {
	t.Parallel()
	servers := startProcesses(t, "sdk-sessions", 2)
	p := openPool(t, poolOf(urlsOf(servers)...))
	first := map[string]string{}
	where := map[string]bool{}
	for i := range 12 {
		session := fmt.Sprint("s", i)
		first[session] = servedBy(t, p, asking(session))
		pid, _, _ := strings.Cut(first[session], " session")
		where[pid] = true
	}
	if len(where) != 2 {
		t.Errorf("all sessions are at one backend")
	}
	for session, was := range first {
		for range 3 {
			if now := servedBy(t, p, asking(session)); now != was {
				t.Fatalf("%s moved from %s to %s", session, was, now)
			}
		}
	}
	servers[0].kill()
	dead := fmt.Sprintf("pid %d ", servers[0].cmd.Process.Pid)
	for session, was := range first {
		began := time.Now()
		now := servedBy(t, p, asking(session))
		t.Logf("%s: %v", session, time.Since(began))
		if moved := now != was; moved != strings.HasPrefix(was, dead) {
			t.Errorf("%s was at %q and is at %q", session, was, now)
		}
		if again := servedBy(t, p, asking(session)); again != now {
			t.Errorf("%s moved again, from %s to %s", session, now, again)
		}
		p.EndSession(session)
	}
	left := 0
	p.pins.Range(func(any, any) bool { left++; return true })
	if left != 0 {
		t.Errorf("%d sessions are remembered that have ended", left)
	}
}

// A backend that is killed in mid-call costs that call and no other.
func TestABackendIsKilled(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"sdk-sessions", "sdk-stateless"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			servers := startProcesses(t, script, 2)
			p := openPool(t, poolOf(urlsOf(servers)...))
			clients := []rpc.Client{legacyClient(), modernClient()}
			for i := range 8 {
				defer hang(t, p, clients[i%2])()
			}
			servers[1].kill()
			for range 20 {
				for _, c := range clients {
					if text := servedBy(t, p, c); !strings.HasPrefix(text, fmt.Sprintf("pid %d ", servers[0].cmd.Process.Pid)) {
						t.Fatalf("served by %s", text)
					}
				}
			}
		})
	}
}

func TestWhereAllAreDownItFailsFast(t *testing.T) {
	t.Parallel()
	servers := startProcesses(t, "sdk-stateless", 2)
	p := openPool(t, poolOf(urlsOf(servers)...))
	servedBy(t, p, modernClient())
	for _, s := range servers {
		s.kill()
	}
	var last *rpc.Error
	for range 20 {
		_, err := run(t.Context(), p, newCall(t, modernClient(), modernToolCall("1", "pid", "{}")))
		last = rpc.AsError(err)
		if last.Code != rpc.UpstreamDown || !last.NotRun {
			t.Fatalf("%#v", last)
		}
	}
	if last.RetryAfter <= 0 || !strings.Contains(last.Message, "unavailable") {
		t.Errorf("%#v", last)
	}
	for _, b := range p.Backends() {
		if b.State != upstream.BackendOpen {
			t.Errorf("%+v", b)
		}
	}
	if s := p.State(); s.Status != Down {
		t.Errorf("state %+v", s)
	}
}

// One server that was down is used again a second after it is back, and a program at once.
func TestOneServerThatIsBackIsUsed(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(fakeHandler(t, fake.Config{}))
	t.Cleanup(web.Close)
	var mu sync.Mutex
	down := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		gone := down
		mu.Unlock()
		if gone {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		web.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p := openPool(t, config.Upstream{Name: "one", URL: front.URL, Era: "modern", Timeout: 20 * time.Second})
	echo := func() error {
		_, err := run(t.Context(), p, newCall(t, modernClient(), modernToolCall("1", "echo", "{}")))
		return err
	}
	if err := echo(); err != nil {
		t.Fatal(err)
	}
	set := func(to bool) { mu.Lock(); defer mu.Unlock(); down = to }
	set(true)
	for range 6 {
		_ = echo()
	}
	if e := rpc.AsError(echo()); e.Code != rpc.UpstreamDown || e.RetryAfter != time.Second {
		t.Errorf("%#v", e)
	}
	set(false)
	eventually(t, "it is used again", func() bool { return echo() == nil })
}

func TestAProgramHasNoBreaker(t *testing.T) {
	t.Parallel()
	p := openPool(t, scripted("legacy"))
	for range 8 { // each call ends the process
		_, _ = run(t.Context(), p, newCall(t, legacyClient(), toolCall("1", "exit", "{}")))
	}
	if b := p.Backends()[0]; b.Breaker != "" || b.State != upstream.BackendUp {
		t.Errorf("%+v", b)
	}
}

// What a server hands out comes back to it.
func TestWhatAServerHandsOutComesBackToIt(t *testing.T) {
	t.Parallel()
	var urls []string
	for i := range 3 {
		s := &script{}
		s.discover = func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public"}`))
		}
		s.answer = func(w http.ResponseWriter, r received) {
			own := fmt.Sprintf("own-%d", i)
			for _, name := range []string{"requestState", "cursor", "taskId"} {
				if strings.Contains(r.body, `"`+name+`"`) && !strings.Contains(r.body, `"`+name+`":"`+own+`"`) {
					answerJSON(w, 200, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not mine"}}`, r.id))
					return
				}
			}
			switch {
			case strings.Contains(r.body, `"tools/list"`):
				answerJSON(w, 200, result(r.id, `{"resultType":"complete","tools":[],"nextCursor":"`+own+`"}`))
			case strings.Contains(r.body, `"begin"`):
				answerJSON(w, 200, result(r.id, `{"resultType":"task","taskId":"`+own+`"}`))
			case strings.Contains(r.body, `"tasks/get"`):
				answerJSON(w, 200, result(r.id, `{"resultType":"complete","taskId":"`+own+`","status":"working"}`))
			case strings.Contains(r.body, `"ask"`):
				answerJSON(w, 200, result(r.id, `{"resultType":"input_required","requestState":"`+own+`"}`))
			default:
				answerJSON(w, 200, result(r.id, `{"resultType":"complete","content":[],"taskId":"`+own+`","requestState":"`+own+`"}`))
			}
		}
		web := httptest.NewServer(s)
		t.Cleanup(web.Close)
		urls = append(urls, web.URL)
	}
	cfg := poolOf(urls...)
	cfg.Era = "modern"
	p := openPool(t, cfg)
	params := func(more string) string { return `{"_meta":{` + modernMeta + `}` + more + `}` }
	send := func(method, more string) *rpc.Message {
		a := mustRun(t, p, newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params(more)+`}`))
		if a.response.Err != nil {
			t.Fatalf("%s%s: %s", method, more, textOf(a.response))
		}
		return a.response
	}
	for range 30 {
		cursor, _ := send("tools/list", "").Text("nextCursor")
		for range 5 {
			cursor, _ = send("tools/list", `,"cursor":"`+cursor+`"`).Text("nextCursor")
		}
		task, _ := send("tools/call", `,"name":"begin"`).Text("taskId")
		again, _ := send("tasks/get", `,"taskId":"`+task+`"`).Text("taskId")
		if again != task {
			t.Errorf("task %q is called %q now", task, again)
		}
		state, _ := send("tools/call", `,"name":"ask"`).Text("requestState")
		send("tools/call", `,"name":"ask","requestState":"`+state+`"`)
		done := send("tools/call", `,"name":"other"`)
		if id, _ := done.Text("taskId"); !strings.HasPrefix(id, "own-") {
			t.Errorf("a result was changed: %s", textOf(done))
		}
	}
}

// Backends that all tell of one change are told of once.
func TestChangesOfListsAreToldOnce(t *testing.T) {
	t.Parallel()
	var servers []*fake.Server
	var urls []string
	for range 3 {
		s := fake.New(fake.Config{Eras: fake.Modern})
		web := httptest.NewServer(s)
		t.Cleanup(func() { s.Close(); web.CloseClientConnections(); web.Close() })
		servers, urls = append(servers, s), append(urls, web.URL)
	}
	p := openPool(t, poolOf(urls...))
	n := &told{}
	p.OnNotice(n.take)
	for _, m := range *p.members.Load() {
		if _, err := m.server.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are listened to", func() bool {
		for _, s := range servers {
			s.SetTools([]fake.Tool{{Name: "other", Behaviour: fake.Echo}})
		}
		return n.has("tools/list_changed")
	})
	time.Sleep(3 * together)
	n.mu.Lock()
	n.all = nil
	n.mu.Unlock()
	for _, s := range servers {
		s.SetTools([]fake.Tool{{Name: "third", Behaviour: fake.Echo}})
	}
	time.Sleep(5 * together)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) > 2 { // two where the machine was so busy that one of them came late
		t.Errorf("told %q", n.all)
	}
	if len(n.all) == 0 {
		t.Error("told nothing")
	}
}

// Resources are watched at one backend, and at another one when that is gone.
func TestSubscriptionsMove(t *testing.T) {
	t.Parallel()
	var servers []*listener
	var urls []string
	for range 2 {
		ls := newListener(`{"resources":{"subscribe":true}}`)
		web := httptest.NewServer(ls)
		t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
		servers, urls = append(servers, ls), append(urls, web.URL)
	}
	cfg := poolOf(urls...)
	cfg.Era = "modern"
	p := openPool(t, cfg)
	n := &told{}
	p.OnNotice(n.take)
	for range 2 {
		if got, err := p.Subscribe(t.Context(), []string{"file:///a", "file:///b"}); err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
	}
	at := slices.Index(*p.members.Load(), p.subs.holder.Load())
	servers[at].mu.Lock()
	streams := len(servers[at].streams)
	servers[at].mu.Unlock()
	if streams != 1 {
		t.Fatalf("%d streams at the one that holds", streams)
	}
	leave, err := p.SetBackends([]config.Backend{{URL: urls[1-at], Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	leave(t.Context())
	other := servers[1-at].stream(t, 0)
	if !strings.Contains(other.filter, "file:///a") || !strings.Contains(other.filter, "file:///b") {
		t.Errorf("the other one is asked for %s", other.filter)
	}
	eventually(t, "what changed meanwhile counts as changed", func() bool { return n.has("resources/updated file:///a") && n.has("resources/updated file:///b") })
	other.events <- other.notification("resources/updated", `"uri":"file:///c"`)
	eventually(t, "the other one is heard", func() bool { return n.has("resources/updated file:///c") })
	p.Unsubscribe([]string{"file:///a", "file:///b"})
	p.Unsubscribe([]string{"file:///a"})
	if each, _ := p.subs.all(); !slices.Equal(each, []string{"file:///b"}) {
		t.Errorf("still wanted: %q", each)
	}
}

// Nobody calls a backend that tells of resources, and it dies: another one is asked all the same.
func TestSubscriptionsMoveFromADeadBackend(t *testing.T) {
	t.Parallel()
	var servers []*listener
	var webs []*httptest.Server
	var urls []string
	for range 2 {
		ls := newListener(`{"resources":{"subscribe":true}}`)
		web := httptest.NewServer(ls)
		t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
		servers, webs, urls = append(servers, ls), append(webs, web), append(urls, web.URL)
	}
	cfg := poolOf(urls...)
	cfg.Era = "modern"
	p := openPool(t, cfg)
	n := &told{}
	p.OnNotice(n.take)
	if got, err := p.Subscribe(t.Context(), []string{"file:///a"}); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	at := slices.Index(*p.members.Load(), p.subs.holder.Load())
	_ = webs[at].Listener.Close()
	webs[at].CloseClientConnections()
	other := servers[1-at].stream(t, 0)
	eventually(t, "what changed meanwhile counts as changed", func() bool { return n.has("resources/updated file:///a") })
	other.events <- other.notification("resources/updated", `"uri":"file:///c"`)
	eventually(t, "the other one is heard", func() bool { return n.has("resources/updated file:///c") })
}

// A backend that leaves finishes its calls, and sessions that were there go on elsewhere.
func TestABackendLeaves(t *testing.T) {
	t.Parallel()
	servers := startProcesses(t, "sdk-sessions", 2)
	urls := urlsOf(servers)
	p := openPool(t, poolOf(urls[0]))
	servedBy(t, p, asking("s1"))
	end := hang(t, p, asking("s1"))
	leave, err := p.SetBackends([]config.Backend{{URL: urls[1], Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	go func() { leave(t.Context()); close(left) }()
	eventually(t, "the session has moved", func() bool {
		return strings.HasPrefix(servedBy(t, p, asking("s1")), fmt.Sprintf("pid %d ", servers[1].cmd.Process.Pid))
	})
	select {
	case <-left:
		t.Fatal("it has left while a call runs")
	case <-time.After(50 * time.Millisecond):
	}
	end()
	<-left
	if b := p.Backends(); len(b) != 1 || b[0].Backend != strings.TrimSuffix(strings.TrimPrefix(urls[1], "http://"), "/mcp") {
		t.Errorf("%+v", b)
	}
}

func TestHealthProbesOfServers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sdk-sessions", "sdk-stateless"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			servers := startProcesses(t, kind, 2)
			cfg := poolOf(urlsOf(servers)...)
			cfg.Health = &config.Health{Interval: 20 * time.Millisecond, Timeout: 5 * time.Second}
			p := openPool(t, cfg)
			servedBy(t, p, modernClient())
			time.Sleep(100 * time.Millisecond)
			for _, b := range p.Backends() {
				if b.State != upstream.BackendUp {
					t.Fatalf("%+v", b)
				}
			}
			servers[0].kill()
			eventually(t, "it is found unwell", func() bool { return p.Backends()[0].State == upstream.BackendDown })
			if b := p.Backends()[1]; b.State != upstream.BackendUp {
				t.Errorf("%+v", b)
			}
		})
	}
}

// Backends come with their weights, and a configuration that cannot be used changes nothing.
func TestBackendsComeAndAreWeighted(t *testing.T) {
	t.Parallel()
	p := openPool(t, poolOf("http://127.0.0.1:1/"))
	if leave, err := p.SetBackends([]config.Backend{{URL: "http://127.0.0.1:1/", Weight: 3}, {URL: "http://127.0.0.1:2/", Weight: 4}}); err != nil || leave != nil {
		t.Fatal(leave != nil, err)
	}
	if b := p.Backends(); len(b) != 2 || b[0].Weight != 3 || b[1].Weight != 4 || b[1].Backend != "127.0.0.1:2" {
		t.Errorf("%+v", b)
	}
	if _, err := p.SetBackends([]config.Backend{{URL: "http://user@127.0.0.1:3/"}}); err == nil {
		t.Error("a URL with a user")
	}
	if b := p.Backends(); len(b) != 2 || len(*p.members.Load()) != 2 {
		t.Errorf("%+v", b)
	}
}

func TestNewPoolRefusesWhatIsNoServer(t *testing.T) {
	t.Parallel()
	if _, err := NewPool(config.Upstream{Name: "x"}, Deps{Log: discardLog}, nil); err == nil {
		t.Error("nothing to reach")
	}
	watched := poolOf("http://127.0.0.1:1/", "http://user@127.0.0.1:2/")
	watched.Health = &config.Health{Interval: time.Hour} // whoever asks would be left behind
	if _, err := NewPool(watched, Deps{Log: discardLog}, nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a URL with a user: %v", err)
	}
}
