package mcpserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// aside collects the log messages outside of calls.
func aside(s *Server) <-chan Log {
	heard := make(chan Log, 200)
	s.OnLog(func(l Log) { heard <- l })
	return heard
}

// A log message outside of calls says for whom it is: on a connection of a client's own for that client, on a shared
// one for all, and on that of a modern client for nobody.
func TestCorner5_22_LogsOutsideOfCallsOverStdio(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	heard := aside(s)
	own := modernClient()
	own.Capabilities = asking("").Capabilities
	for _, step := range []struct {
		client  rpc.Client
		call    string
		session string
	}{
		{own, modernToolCall("1", "log-after", `{}`), "nobody"},
		{asking("s7"), toolCall("1", "log-after", `{}`), "s7"},
		{legacyClient(), toolCall("1", "log-after", `{}`), ""},
	} {
		if a := mustRun(t, s, newCall(t, step.client, step.call)); len(a.before) > 0 {
			t.Errorf("the call was told %s", textOf(a.before[0]))
		}
		if step.session == "nobody" {
			mustRun(t, s, newCall(t, step.client, strings.Replace(step.call, "log-after", "raw", 1))) // what was sent before has been read
			continue
		}
		l := <-heard
		if l.Session != step.session || l.Usual != "" {
			t.Errorf("for %q, usually %q; want for %q", l.Session, l.Usual, step.session)
		}
		if want := `"params":{"level":"info","logger":"db",`; !strings.Contains(textOf(l.Message), want) {
			t.Errorf("%s does not hold %s", textOf(l.Message), want)
		}
		if want := `"params":{"level":"info","logger":"files/db",`; !strings.Contains(textOf(l.Named("files")), want) {
			t.Errorf("%s does not hold %s", textOf(l.Named("files")), want)
		}
	}
	if len(heard) > 0 {
		t.Errorf("%d further messages", len(heard))
	}
}

// Over HTTP they come on the session's stream. Clients that set no level are not shown what others made the server say.
func TestCorner5_22_LogsOnTheStreamOfASession(t *testing.T) {
	t.Parallel()
	logged, large := make(chan string, 3), `"`+strings.Repeat("x", maxLogSize)+`"`
	sc := talkative(`{"tools":{},"logging":{}}`)
	sc.get = func(w http.ResponseWriter, r *http.Request) {
		answerEvents(w, ": open\n\n")
		for {
			select {
			case data := <-logged:
				answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","data":`+data+`}}`))
			case <-r.Context().Done():
				return
			}
		}
	}
	s := newServer(t, remote(t, sc))
	heard := aside(s)
	client := legacyClient()
	mustRun(t, s, newCall(t, client, toolCall("1", "t", `{}`)))
	for _, step := range []struct{ level, usual string }{{"", ""}, {"error", usualLevel}} {
		client.LogLevel = step.level
		mustRun(t, s, newCall(t, client, toolCall("1", "t", `{}`)))
		logged <- large
		logged <- `{"n":1.0}`
		want := Log{Usual: step.usual}
		l := <-heard
		if diff := cmp.Diff(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","data":{"n":1.0}}}`, textOf(l.Message)); diff != "" {
			t.Error(diff)
		}
		if l.Message = nil; l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
}

func TestCorner5_22_AFloodOfLogsIsCut(t *testing.T) {
	t.Parallel()
	var q quota
	at := time.Now()
	for i := range 3 * maxLogs {
		if got := q.take(at.Add(time.Duration(i))); got != (i < maxLogs) {
			t.Fatalf("message %d: %v", i, got)
		}
	}
	if !q.take(at.Add(time.Second)) {
		t.Error("nothing a second later")
	}
}
