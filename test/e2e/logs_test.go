package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/telemetry"
	"github.com/headgate/headgate/test/fake"
)

// logLine is what the lines about calls have.
type logLine struct {
	Timestamp, Level, Component, Msg                   string
	Method, Endpoint, Status, Remote, Upstream, Target string
	RequestID                                          string `json:"request_id"`
	SessionID                                          string `json:"session_id"`
	Duration                                           float64
	Attempts                                           int
	Error                                              string
}

// readLog reads the lines of a log.
func readLog(t *testing.T, text string) (out []logLine) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Timestamp == "" || l.Level == "" || l.Component == "" || l.Msg == "" {
			t.Errorf("no line of a log: %v: %s", err, line)
		}
		out = append(out, l)
	}
	return out
}

// startLogged runs a gateway with a log of its own, which is closed when the gateway has stopped.
func startLogged(t *testing.T, to telemetry.LogConfig, options, upstreams string) string {
	t.Helper()
	to.Level, to.Format = "info", "json"
	logs, err := telemetry.OpenLogs(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logs.Close(t.Context()) }) // what failed is looked at in the log
	g := startGatewayWith(t, "telemetry: {logs: {"+options+"}}\nupstreams:\n"+upstreams, logs.Handler())
	return endpoint(g, "/mcp")
}

// Each call has a line when it has ended, with names that do not change, and without what the client holds.
func TestCallsAreLogged(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Tools: []fake.Tool{
		{Name: "echo", Behaviour: fake.Echo}, {Name: "fail", Behaviour: fake.Fail(fake.Error{Code: -32000, Message: "no"})},
	}})
	path := filepath.Join(t.TempDir(), "headgate.log")
	var handle string
	t.Run("calls", func(t *testing.T) { // the log is closed when it ends
		r := legacy(t, startLogged(t, telemetry.LogConfig{To: os.Stderr, File: &telemetry.LogFile{Path: path}}, "access: all", httpUpstream("one", server)), "{}")
		handle = r.session
		for _, name := range []string{"one__echo", "one__fail", "none"} {
			r.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":"call-%s","method":"tools/call","params":{"name":%q,"arguments":{"text":"what is said"}}}`, name, name), nil)
		}
	})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), handle) || strings.Contains(string(text), "what is said") {
		t.Error("the log holds what it must not")
	}
	var got []string
	for _, l := range readLog(t, string(text)) {
		if l.Component != telemetry.AccessComponent || l.Method != "tools/call" {
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s %d", l.Level, l.RequestID, l.Status, l.Endpoint, l.Upstream, l.Target, l.Attempts))
		if l.SessionID == "" || l.Duration <= 0 || l.Remote == "" {
			t.Errorf("%+v", l)
		}
	}
	want := []string{
		"INFO call-one__echo ok /mcp one one__echo 1", "INFO call-one__fail error /mcp one one__fail 1", "INFO call-none invalid_params /mcp   0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// A disk that is full stops no call, and is spoken of once.
func TestDiskOfTheLogIsFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Log("this system has no /dev/full; package telemetry tests what follows from a failure")
		return
	}
	_, server := fakeUpstream(t, fake.Config{})
	var aside lockedBuffer
	t.Run("calls", func(t *testing.T) {
		r := legacy(t, startLogged(t, telemetry.LogConfig{To: &aside, File: &telemetry.LogFile{Path: "/dev/full"}}, "access: all", httpUpstream("one", server)), "{}")
		for range 20 {
			if res, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{}}}`, nil); res.StatusCode != http.StatusOK || strings.Contains(body, `"error"`) {
				t.Errorf("%s: %s", res.Status, body)
			}
			r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none"}}`, nil)
		}
	})
	lines := readLog(t, aside.String())
	if len(lines) != 1 || lines[0].Msg != "log file: lines are lost" || lines[0].Level != "ERROR" {
		t.Errorf("%s", aside.String())
	}
}
