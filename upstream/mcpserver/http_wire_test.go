package mcpserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_15_LegacyRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) }}
	cfg := remote(t, h)
	cfg.Headers = map[string]config.Secret{"Authorization": "Bearer s3cret", "mcp-session-id": "forged", "X-Tenant": "7"}
	s := newServer(t, cfg)
	c := newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{`+modernMeta+`,"io.modelcontextprotocol/logLevel":"info","traceparent":"00-1"}}}`)
	c.Header = http.Header{"Authorization": {"Bearer client"}, "Cookie": {"a=b"}}
	mustRun(t, s, c)
	mustRun(t, s, newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{`+modernMeta+`}}}`))
	mustRun(t, s, newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))

	initialize := h.find("POST", "initialize")
	if len(initialize) != 1 || initialize[0].header.Get("Mcp-Session-Id") != "" || initialize[0].header.Get("Mcp-Protocol-Version") != "" {
		t.Errorf("initialize: %+v", initialize)
	}
	if want := `"clientInfo":{"name":"headgate","version":"test"}`; !strings.Contains(initialize[0].body, want) || !strings.Contains(initialize[0].body, `"protocolVersion":"2025-11-25","capabilities":{}`) {
		t.Error(initialize[0].body)
	}
	if len(h.find("POST", "notifications/initialized")) != 1 {
		t.Error("no initialized")
	}
	call := h.find("POST", "tools/call")[0]
	for name, want := range map[string]string{
		"Mcp-Session-Id": "session-1", "Mcp-Protocol-Version": "2025-06-18", "Authorization": "Bearer s3cret", "X-Tenant": "7",
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Cookie": "", "Mcp-Method": "",
	} {
		if got := strings.Join(call.header.Values(name), ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if want := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","_meta":{"traceparent":"00-1"}}}`; call.body != want {
		t.Error(call.body)
	}
	lists := h.find("POST", "tools/list")
	if lists[0].body != `{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{}}` || lists[1].body != `{"jsonrpc":"2.0","id":4,"method":"tools/list"}` {
		t.Error(lists[0].body, lists[1].body)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if del := h.find("DELETE", ""); len(del) != 1 || del[0].header.Get("Mcp-Session-Id") != "session-1" {
		t.Errorf("%d DELETEs", len(del))
	}
}

func TestCorner5_15_ModernRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	h := &script{discover: discovered, answer: func(w http.ResponseWriter, r received) {
		answerJSON(w, 200, result(r.id, `{"resultType":"complete"}`))
	}}
	s := newServer(t, remote(t, h))
	c := newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"gh__é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true}}}`)
	c.Target.Own = "é tool"
	c.Target.ParamHeaders = []rpc.ParamHeader{
		{Name: "Mcp-Param-Q", Path: []string{"q"}},
		{Name: "Mcp-Param-Deep", Path: []string{"n", "deep"}},
		{Name: "Mcp-Param-No", Path: []string{"no"}},
		{Name: "Mcp-Param-B", Path: []string{"b"}},
	}
	mustRun(t, s, c)
	own := modernToolCall("1", "echo", `{}`)
	mustRun(t, s, newCall(t, modernClient(), own))

	calls := h.find("POST", "tools/call")
	got := calls[0]
	for name, want := range map[string]string{
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": mcp.EncodeHeader("é tool"),
		"Mcp-Param-Q": mcp.EncodeHeader("ü"), "Mcp-Param-Deep": "42", "Mcp-Param-No": "", "Mcp-Param-B": "true", "Mcp-Session-Id": "",
	} {
		if v := strings.Join(got.header.Values(name), ","); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	want := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true},"_meta":{` + modernMeta + `}}}`
	if got.body != want {
		t.Errorf("got\n%s\nwant\n%s", got.body, want)
	}
	if want := strings.Replace(own, `"id":1`, `"id":3`, 1); calls[1].body != want {
		t.Errorf("a modern client's message became %s", calls[1].body)
	}
	if name := c.Message; textOf(name) != `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"gh__é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true}}}` {
		t.Error("the client's message was changed")
	}
}

func TestCorner5_1_HTTPIDsAndResultsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	const odd = `{"z":1,"a":12345678901234567890,"f":1.0,"lt":"<&>","raw":"é","esc":"\u00e9","x":[{"type":"hologram"}], "spaced" : [ ] }`
	for name, answer := range map[string]func(w http.ResponseWriter, r received){
		"json":      func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, odd)) },
		"string id": func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(`"`+r.id+`"`, odd)) },
		"stream":    func(w http.ResponseWriter, r received) { answerEvents(w, event(result(r.id, odd))) },
		"no type": func(w http.ResponseWriter, r received) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, result(r.id, odd))
		},
		"with charset": func(w http.ResponseWriter, r received) {
			w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
			_, _ = io.WriteString(w, result(r.id, odd))
		},
		"odd stream": func(w http.ResponseWriter, r received) {
			answerEvents(w, "\xEF\xBB\xBF: hello\r\n\r\n", "id: 1\rdata\r\r", "retry: 10\n\n", "event: weird\ndata: not json\n\n",
				"data:"+strings.Replace(result(r.id, odd), `"result"`, "\ndata: \"result\"", 1)+"\n") // no blank line at the end
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, &script{answer: answer}))
			for _, id := range []string{`1`, `"1"`, `9007199254740993`, `-0`, `"é"`} {
				a := mustRun(t, s, newCall(t, legacyClient(), toolCall(id, "x", `{}`)))
				if string(a.response.Result) != odd || a.response.ID.Raw() != id || !strings.Contains(textOf(a.response), `"id":`+id) {
					t.Errorf("id %s: %s", id, textOf(a.response))
				}
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, r received)
		code   rpc.Code
		want   string
	}{
		{"html", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		}, rpc.UpstreamFailed, "text/html"},
		{"not json", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, "oops") }, rpc.UpstreamFailed, "no message"},
		{"another id", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, result("999", "{}")) }, rpc.UpstreamFailed, "another request"},
		{"a notification", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, `{"jsonrpc":"2.0","method":"x"}`) }, rpc.UpstreamFailed, "another request"},
		{"status 500", func(w http.ResponseWriter, _ received) { http.Error(w, "secret internals", 500) }, rpc.UpstreamFailed, "HTTP status 500"},
		{"status 401", func(w http.ResponseWriter, _ received) {
			answerJSON(w, 401, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"token"}}`)
		}, rpc.UpstreamFailed, "credentials"},
		{"status 429", func(w http.ResponseWriter, _ received) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, rpc.UpstreamFailed, "429"},
		{"redirect", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Location", "http://elsewhere.example/")
			w.WriteHeader(307)
		}, rpc.UpstreamFailed, "redirect"},
		{"accepted", func(w http.ResponseWriter, _ received) { w.WriteHeader(202) }, rpc.UpstreamFailed, "no stream"},
		{"cut stream", func(w http.ResponseWriter, _ received) { answerEvents(w, ": hi\n\n") }, rpc.UpstreamDown, "without a response"},
		{"damaged event", func(w http.ResponseWriter, _ received) { answerEvents(w, "data: {\n\n") }, rpc.UpstreamFailed, "no message"},
		{"hung up", func(http.ResponseWriter, received) { panic(http.ErrAbortHandler) }, rpc.UpstreamDown, "closed the connection"},
		{"too large", func(w http.ResponseWriter, r received) {
			answerJSON(w, 200, result(r.id, `{"x":"`+strings.Repeat("x", 70_000)+`"}`))
		}, rpc.UpstreamFailed, "size limit"},
		{"too large an event", func(w http.ResponseWriter, r received) {
			answerEvents(w, event(result(r.id, `{"x":"`+strings.Repeat("x", 70_000)+`"}`)))
		}, rpc.UpstreamFailed, "size limit"},
		{"compressed", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Content-Encoding", "gzip")
			answerJSON(w, 200, "x")
		}, rpc.UpstreamFailed, "not HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := remote(t, &script{answer: test.answer})
			s := newServer(t, cfg)
			d := s.dial.(*httpDialer)
			d.maxResult = 64 << 10
			e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), test.code)
			if !strings.Contains(e.Message, test.want) {
				t.Error(e.Message)
			}
			for _, not := range []string{"127.0.0.1", "secret internals", "tenant", "elsewhere"} {
				if strings.Contains(e.Message, not) {
					t.Errorf("%q is told: %s", not, e.Message)
				}
			}
			if test.name == "status 429" && e.RetryAfter != 7*time.Second {
				t.Error(e.RetryAfter)
			}
		})
	}
}

func TestErrorsAreRelayedWhateverTheStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 404, 500} {
		failure := `{"jsonrpc":"2.0","id":"%s","error":{"code":-32602,"message":"unknown tool session_list","data":{"n":1.0}}}`
		for name, h := range map[string]*script{
			"legacy": {answer: func(w http.ResponseWriter, r received) { answerJSON(w, status, fmt.Sprintf(failure, r.id)) }},
			"modern": {discover: discovered, answer: func(w http.ResponseWriter, r received) { answerJSON(w, status, fmt.Sprintf(failure, r.id)) }},
			"null id": {answer: func(w http.ResponseWriter, _ received) {
				answerJSON(w, status, strings.Replace(failure, `"%s"`, "null", 1))
			}},
		} {
			a := mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			if want := `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool session_list","data":{"n":1.0}}}`; textOf(a.response) != want {
				t.Errorf("%s %d: %s", name, status, textOf(a.response))
			}
		}
	}
}

func TestCorner5_6_ResourcesAreMirroredByTheirOwnURI(t *testing.T) {
	t.Parallel()
	h := &script{discover: discovered, answer: func(w http.ResponseWriter, r received) {
		answerJSON(w, 200, result(r.id, `{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`))
	}}
	c := newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"ui://up+View/%41?x#é"}}`)
	c.Target.Own = "ui://View/%41?x#é"
	mustRun(t, newServer(t, remote(t, h)), c)
	got := h.find("POST", mcp.ResourcesRead)[0]
	if name := got.header.Get("Mcp-Name"); name != mcp.EncodeHeader("ui://View/%41?x#é") {
		t.Errorf("Mcp-Name: %s", name)
	}
	if !strings.Contains(got.body, `"uri":"ui://View/%41?x#é"`) {
		t.Error(got.body)
	}
}

// That the gateway's headers do not mirror its message is between it and the server.
func TestCorner5_15_RefusedHeadersAreNotTheClients(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400} {
		h := &script{discover: discovered, answer: func(w http.ResponseWriter, r received) {
			answerJSON(w, status, `{"jsonrpc":"2.0","id":`+r.id+`,"error":{"code":-32020,"message":"Mcp-Param-A is missing"}}`)
		}}
		e := mustFail(t, newServer(t, remote(t, h)), newCall(t, modernClient(), modernToolCall("1", "x", `{}`)), rpc.UpstreamFailed)
		if !errors.Is(e, mcp.ErrMirrors) || !strings.Contains(e.Message, "Mcp-Param-A is missing") {
			t.Errorf("status %d: %v", status, e)
		}
		if n := len(h.find("POST", mcp.ToolsCall)); n != 1 {
			t.Errorf("status %d: called %d times", status, n)
		}
	}
}

// A request that is too large for a server says nothing about what the server speaks.
func TestCorner5_15_RequestsThatAreTooLargeForTheServer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge} {
		if eraLost(status, nil) {
			t.Errorf("after status %d it is taken for another server", status)
		}
		h := &script{discover: discovered, answer: func(w http.ResponseWriter, _ received) { http.Error(w, "too large", status) }}
		e := mustFail(t, newServer(t, remote(t, h)), newCall(t, modernClient(), modernToolCall("1", "x", `{}`)), rpc.UpstreamFailed)
		if !strings.Contains(e.Message, fmt.Sprint(status)) {
			t.Error(e.Message)
		}
	}
}
