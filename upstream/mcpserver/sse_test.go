package mcpserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// oldRemote is the configuration of a server that speaks HTTP+SSE.
func oldRemote(t *testing.T, h http.Handler) config.Upstream {
	t.Helper()
	cfg := remote(t, h)
	cfg.Transport = "sse"
	return cfg
}

// oldScript is a server over HTTP+SSE.
type oldScript struct {
	script
	endpoint string
	out      chan string // what goes on the event stream
	cut      chan struct{}
}

func newOldScript(call func(o *oldScript, w http.ResponseWriter, r received)) *oldScript {
	o := &oldScript{endpoint: "/messages?session=1", out: make(chan string, 64), cut: make(chan struct{})}
	o.get = func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w, ": hello\n\n", "event: endpoint\ndata: "+o.endpoint+"\n\n")
		for {
			select {
			case text := <-o.out:
				answerEvents(w, event(text))
			case <-o.cut:
				return
			case <-r.Context().Done():
				return
			}
		}
	}
	o.initial = func(w http.ResponseWriter, id string) {
		w.WriteHeader(http.StatusAccepted)
		o.out <- strings.Replace(initialized(id), "2025-06-18", "2024-11-05", 1)
	}
	o.answer = func(w http.ResponseWriter, r received) { call(o, w, r) }
	return o
}

func TestHTTPWithSSE(t *testing.T) {
	t.Parallel()
	server := sdkServer()
	s := newServer(t, oldRemote(t, sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return server }, nil)))
	for range 2 {
		a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"me"`, "echo", `{"text":"hi"}`)))
		if a.revision != "2025-11-25" || !strings.Contains(textOf(a.response), `"id":"me"`) || !strings.Contains(textOf(a.response), "hi") {
			t.Errorf("%s %s", a.revision, textOf(a.response))
		}
	}
	a := mustRun(t, s, newCall(t, modernClient(), strings.Replace(modernToolCall("1", "progress", `{"text":""}`), `"_meta":{`, `"_meta":{"progressToken":5,`, 1)))
	if len(a.before) != 3 {
		t.Errorf("%d notifications of progress", len(a.before))
	}
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "elicit", `{"text":""}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	question, err := reply.Next()
	if err != nil || question.Method != mcp.ElicitationCreate {
		t.Fatalf("%v %v", question, err)
	}
	if err := reply.Answer(rpc.NewResult(question.ID, []byte(`{"action":"decline"}`))); err != nil {
		t.Fatal(err)
	}
	if m, err := reply.Next(); err != nil || !strings.Contains(textOf(m), "decline") {
		t.Errorf("%v %v", m, err)
	}
	if got := s.State(); got.Transport != "sse" || got.Era != rpc.Legacy {
		t.Errorf("%+v", got)
	}
}

func TestEndpointOfHTTPWithSSE(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		endpoint func(base string) string
		good     bool
	}{
		"with a path":     {func(string) string { return "/messages?session=1" }, true},
		"relative":        {func(string) string { return "messages" }, true},
		"only a query":    {func(string) string { return "?session=1" }, true},
		"absolute":        {func(base string) string { return base + "/messages" }, true},
		"another host":    {func(base string) string { return strings.Replace(base, "127.0.0.1", "localhost", 1) }, false},
		"another port":    {func(string) string { return "http://127.0.0.1:1/messages" }, false},
		"another scheme":  {func(base string) string { return strings.Replace(base, "http:", "https:", 1) }, false},
		"without scheme":  {func(string) string { return "//evil.example/messages" }, false},
		"with a user":     {func(base string) string { return strings.Replace(base, "http://", "http://u:p@", 1) }, false},
		"no address":      {func(string) string { return "http://[" }, false},
		"another purpose": {func(string) string { return "javascript:alert(1)" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOldScript(func(o *oldScript, w http.ResponseWriter, r received) {
				w.WriteHeader(http.StatusAccepted)
				o.out <- result(r.id, `{}`)
			})
			cfg := oldRemote(t, o)
			base, _, _ := strings.Cut(cfg.URL, "/mcp")
			o.endpoint = test.endpoint(base)
			s := newServer(t, cfg)
			c := newCall(t, legacyClient(), toolCall("1", "x", `{}`))
			if test.good {
				mustRun(t, s, c)
				return
			}
			mustFail(t, s, c, rpc.UpstreamFailed)
			if n := len(o.find("POST", "")); n != 0 {
				t.Errorf("%d messages were sent", n)
			}
		})
	}
}

func TestHTTPWithSSEThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		h    http.Handler
		code rpc.Code
	}{
		"no stream": {&script{get: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }}, rpc.UpstreamFailed},
		"JSON":      {&script{get: func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, 200, "{}") }}, rpc.UpstreamFailed},
		"no endpoint": {&script{get: func(w http.ResponseWriter, _ *http.Request) {
			answerEvents(w, event(`{"jsonrpc":"2.0","method":"x"}`))
		}}, rpc.UpstreamFailed},
		"ends at once": {&script{get: func(w http.ResponseWriter, _ *http.Request) { answerEvents(w, ": bye\n\n") }}, rpc.UpstreamDown},
		"refuses messages": {newOldScript(func(_ *oldScript, w http.ResponseWriter, _ received) {
			http.Error(w, "no such session", 404)
		}), rpc.UpstreamFailed},
		"ends in mid-call": {newOldScript(func(o *oldScript, w http.ResponseWriter, _ received) {
			w.WriteHeader(http.StatusAccepted)
			close(o.cut)
		}), rpc.UpstreamDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustFail(t, newServer(t, oldRemote(t, test.h)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)), test.code)
		})
	}
}

func TestHTTPWithSSETakesNoOtherEra(t *testing.T) {
	t.Parallel()
	cfg := config.Upstream{Name: "x", URL: "http://127.0.0.1:1/", Transport: "sse", Era: "modern"}
	if _, err := New(cfg, Deps{Log: discardLog}); err == nil {
		t.Error("modern and HTTP+SSE go together")
	}
}

func TestHTTPWithSSEThatAcceptsLate(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	o := newOldScript(func(o *oldScript, w http.ResponseWriter, r received) {
		if strings.Contains(r.body, "slow") {
			o.out <- `{"jsonrpc":"2.0","id":"ping","method":"ping"}`
			<-answered // the POST is accepted only when another was
			o.out <- result(r.id, `{}`)
		} else {
			o.out <- result(r.id, `{}`)
			close(answered)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	s := newServer(t, oldRemote(t, o))
	slow, err := s.Handle(t.Context(), newCall(t, legacyClient(), toolCall("1", "slow", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	eventually(t, "the ping is answered", func() bool {
		for _, r := range o.find("POST", "") {
			if r.id == `"ping"` {
				return true
			}
		}
		return false
	})
	mustRun(t, s, newCall(t, legacyClient(), toolCall("2", "x", `{}`)))
	if m, err := slow.Next(); err != nil || !m.IsResponse() {
		t.Errorf("%v %v", m, err)
	}
	if got := o.find("POST", mcp.Initialized); len(got) != 1 {
		t.Errorf("initialized was sent %d times", len(got))
	}
}

func TestHTTPWithSSECancels(t *testing.T) {
	t.Parallel()
	o := newOldScript(func(_ *oldScript, w http.ResponseWriter, _ received) { w.WriteHeader(http.StatusAccepted) })
	cfg := oldRemote(t, o)
	cfg.Timeout = 200 * time.Millisecond
	s := newServer(t, cfg)
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamTimeout)
	eventually(t, "the server is told", func() bool {
		told := o.find("POST", mcp.Cancelled)
		calls := o.find("POST", mcp.ToolsCall)
		return len(told) == 1 && len(calls) == 1 && strings.Contains(told[0].body, fmt.Sprintf(`"requestId":%s,`, calls[0].id))
	})
}
