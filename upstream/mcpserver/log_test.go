package mcpserver

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// talkative is a server that logs at three levels in each call.
func talkative(capabilities string) *script {
	return &script{
		initial: func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"protocolVersion":"2025-06-18","capabilities":`+capabilities+`,"serverInfo":{"name":"s","version":"1"}}`))
		},
		answer: func(w http.ResponseWriter, r received) {
			if r.method != "tools/call" {
				answerJSON(w, 200, result(r.id, `{}`))
				return
			}
			var events []string
			for _, level := range []string{"debug", "info", "error"} {
				events = append(events, event(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":%q,"logger":"db","data":1}}`, level)))
			}
			answerEvents(w, append(events, event(result(r.id, `{"content":[]}`)))...)
		},
	}
}

// levels returns the levels of the log messages that came with an answer.
func levels(a answer) string {
	var out []string
	for _, m := range a.before {
		level, _ := m.Text("level")
		out = append(out, level)
	}
	return strings.Join(out, " ")
}

// Corner case 5.22 and the row of logging/setLevel: each client sees what it asked
// for, whatever others on the same connection want.
func TestCorner5_22_LogLevelsTowardALegacyServer(t *testing.T) {
	t.Parallel()
	sc := talkative(`{"tools":{},"logging":{}}`)
	web := httptest.NewServer(sc)
	defer web.Close()
	s := newServer(t, config.Upstream{Name: "files", URL: web.URL, Era: "legacy"})
	for i, step := range []struct {
		era   rpc.Era
		level string
		want  string // what the client sees
		told  string // what the server was told in all
	}{
		{rpc.Legacy, "", "debug info error", ""},
		{rpc.Modern, "", "", ""},
		{rpc.Modern, "error", "error", "error"},
		{rpc.Legacy, "info", "info error", "error info"},
		{rpc.Legacy, "emergency", "", "error info"},
		{rpc.Modern, "debug", "debug info error", "error info debug"},
		{rpc.Legacy, "", "info error", "error info debug"},
	} {
		client, text := legacyClient(), toolCall("1", "t", "{}")
		if step.era == rpc.Modern {
			client, text = modernClient(), modernToolCall("1", "t", "{}")
		}
		client.LogLevel = step.level
		if got := levels(mustRun(t, s, newCall(t, client, text))); got != step.want {
			t.Errorf("step %d: the client sees %q, want %q", i, got, step.want)
		}
		var told []string
		for _, r := range sc.find("POST", "logging/setLevel") {
			_, level, _ := strings.Cut(r.body, `"level":"`)
			told = append(told, strings.TrimRight(level, `"}`))
		}
		if got := strings.Join(told, " "); got != step.told {
			t.Errorf("step %d: the server was told %q, want %q", i, got, step.told)
		}
	}
}

func TestServerWithoutLoggingIsToldNoLevel(t *testing.T) {
	t.Parallel()
	sc := talkative(`{"tools":{}}`)
	web := httptest.NewServer(sc)
	defer web.Close()
	s := newServer(t, config.Upstream{Name: "files", URL: web.URL, Era: "legacy"})
	client := legacyClient()
	client.LogLevel = "error"
	if got := levels(mustRun(t, s, newCall(t, client, toolCall("1", "t", "{}")))); got != "error" {
		t.Errorf("the client sees %q", got)
	}
	if told := sc.find("POST", "logging/setLevel"); len(told) != 0 {
		t.Errorf("the server was told %v", told)
	}
}

// Corner case 5.22: loggers of two servers may have the same name.
func TestCorner5_22_LoggerNamesItsUpstreamWhereSeveralAreShown(t *testing.T) {
	t.Parallel()
	sc := talkative(`{"tools":{},"logging":{}}`)
	web := httptest.NewServer(sc)
	defer web.Close()
	s := newServer(t, config.Upstream{Name: "files", URL: web.URL, Era: "legacy"})
	c := newCall(t, legacyClient(), toolCall("1", "t", "{}"))
	c.Target.Upstream, c.Target.Merged = "files", true
	a := mustRun(t, s, c)
	want := `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"debug","logger":"files/db","data":1}}`
	if diff := cmp.Diff(want, textOf(a.before[0])); diff != "" {
		t.Error(diff)
	}
}

// The level of a legacy client's session goes into each request to a modern server.
func TestLogLevelTowardAModernServer(t *testing.T) {
	t.Parallel()
	sc := &script{discover: discovered, answer: func(w http.ResponseWriter, r received) {
		answerJSON(w, 200, result(r.id, `{"resultType":"complete","content":[]}`))
	}}
	web := httptest.NewServer(sc)
	defer web.Close()
	s := newServer(t, config.Upstream{Name: "files", URL: web.URL, Era: "modern"})
	client := legacyClient()
	mustRun(t, s, newCall(t, client, toolCall("1", "t", "{}")))
	client.LogLevel = "warning"
	mustRun(t, s, newCall(t, client, toolCall("2", "t", "{}")))
	calls := sc.find("POST", "tools/call")
	if strings.Contains(calls[0].body, "logLevel") || !strings.Contains(calls[1].body, `"io.modelcontextprotocol/logLevel":"warning"`) {
		t.Errorf("got %s\nand %s", calls[0].body, calls[1].body)
	}
}
