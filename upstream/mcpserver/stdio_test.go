package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// legacyServer is a scripted legacy server that is not probed.
func legacyServer(t *testing.T) *Server {
	t.Helper()
	cfg := scripted("legacy")
	cfg.Era = "legacy"
	return newServer(t, cfg)
}

func TestStdioSpeaksTheErasOfItsServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script, era    string
		legacy, modern rpc.Revision // spoken for a client of that era; empty: either
	}{
		{"legacy", "auto", "2025-06-18", "2025-06-18"},
		{"legacy", "legacy", "2025-06-18", "2025-06-18"},
		{"garbage", "auto", "2025-06-18", "2025-06-18"},
		{"silent", "auto", "2025-06-18", "2025-06-18"},
		{"fragile", "auto", "2025-06-18", "2025-06-18"},
		{"fake-legacy", "auto", "2025-11-25", "2025-11-25"},
		{"fake-modern", "auto", "2026-07-28", "2026-07-28"},
		{"fake-modern", "modern", "2026-07-28", "2026-07-28"},
		{"drowsy", "auto", "2026-07-28", "2026-07-28"},
		{"drowsy", "modern", "2026-07-28", "2026-07-28"},
		{"drowsy-sdk", "auto", "2025-11-25", ""}, // it takes the probe first or the handshake, as it likes
		{"fake-both", "auto", "2025-11-25", "2026-07-28"},
		{"fake-both", "legacy", "2025-11-25", "2025-11-25"},
		{"sdk", "auto", "2025-11-25", "2026-07-28"},
		{"sdk", "legacy", "2025-11-25", "2025-11-25"},
		{"sdk", "modern", "2026-07-28", "2026-07-28"},
	} {
		t.Run(test.script+" "+test.era, func(t *testing.T) {
			t.Parallel()
			cfg := scripted(test.script)
			cfg.Era = test.era
			s := newServer(t, cfg)
			tool := "raw"
			if strings.HasPrefix(test.script, "fake") || test.script == "sdk" || strings.HasPrefix(test.script, "drowsy") {
				tool = "echo"
			}
			for range 2 { // the second call uses what the first found out
				a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"x"`, tool, `{"text":"hi"}`)))
				if a.revision != test.legacy || a.response.Err != nil || a.response.ID.Raw() != `"x"` {
					t.Errorf("legacy client: %s: %s", a.revision, textOf(a.response))
				}
				a = mustRun(t, s, newCall(t, modernClient(), modernToolCall("1", tool, `{"text":"hi"}`)))
				if test.modern != "" && a.revision != test.modern || a.response.Err != nil {
					t.Errorf("modern client: %s: %s", a.revision, textOf(a.response))
				}
			}
			if state := s.State(); state.Status != Up || state.Transport != "stdio" || state.Restarts != 0 {
				t.Errorf("state %+v", state)
			}
		})
	}
}

func TestPinnedEraThatTheServerDoesNotSpeak(t *testing.T) {
	t.Parallel()
	cfg := scripted("fake-modern")
	cfg.Era = "legacy"
	e := mustFail(t, newServer(t, cfg), newCall(t, legacyClient(), toolCall("1", "echo", `{}`)), rpc.UpstreamFailed)
	if !strings.Contains(e.Message, "pins it to") {
		t.Error(e.Message)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		want   Description
	}{
		{"legacy", Description{
			Transport: "stdio", Era: rpc.Legacy, Revision: "2025-06-18", Instructions: "be kind",
			ServerInfo:   json.RawMessage(`{"name":"scripted","version":"1"}`),
			Capabilities: json.RawMessage(`{"tools":{"listChanged":true}}`),
		}},
		{"modern-junk", Description{
			Transport: "stdio", Era: rpc.Modern, Revision: "2026-07-28", Instructions: "hi", TTL: 5 * time.Second,
			ServerInfo:   json.RawMessage(`{"name":"junk","version":"2"}`),
			Capabilities: json.RawMessage(`{"tools":{}}`),
		}},
	} {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			got, err := newServer(t, scripted(test.script)).Describe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Description{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResultsAndArgumentsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	const odd = `{"z":1,"a":12345678901234567890,"f":1.0,"e":1E+2,"lt":"<&>","raw":"é","esc":"\u00e9\/","content":[{"type":"hologram","x":null}],"_meta":{"k":{}}, "spaced" : [ ] }`
	a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", odd)))
	if got := string(a.response.Result); got != odd {
		t.Errorf("result\n%s\nwant\n%s", got, odd)
	}
	call := newCall(t, legacyClient(), `{"jsonrpc":"2.0","params":{"x":1.50,"arguments":`+odd+`,"name":"line"},"id":7,"method":"tools/call","extra":true}`)
	a = mustRun(t, s, call)
	line, _ := a.response.Text("line")
	want := strings.Replace(textOf(call.Message), `"id":7`, `"id":3`, 1) // the handshake was 1, the first call 2
	if line != want {
		t.Errorf("arrived\n%s\nwant\n%s", line, want)
	}
}

func TestCorner5_1_IDsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for _, id := range []string{`1`, `"1"`, `9007199254740993`, `-0`, `"é"`, `"\u00e9"`, `1.0`, `1e3`, `""`, `"` + strings.Repeat("i", 1000) + `"`} {
		for _, tool := range []string{"raw", "error", "string-id", "float-id", "nameless-error"} {
			a := mustRun(t, s, newCall(t, legacyClient(), toolCall(id, tool, `{}`)))
			if got := textOf(a.response); a.response.ID.Raw() != id || !strings.Contains(got, `"id":`+id) {
				t.Errorf("%s: sent id %s, got %s", tool, id, got)
			}
		}
	}
}

func TestErrorsKeepTheirData(t *testing.T) {
	t.Parallel()
	a := mustRun(t, legacyServer(t), newCall(t, legacyClient(), toolCall("5", "error", `{}`)))
	want := `{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"no such tool","data":{"big":12345678901234567890,"b":1,"a":2}}}`
	if got := textOf(a.response); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCorner5_2_ProgressTokensComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for _, token := range []string{`1`, `"1"`, `9007199254740993`, `"é"`, `0.5`} {
		a := mustRun(t, s, newCall(t, legacyClient(),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":`+token+`}}}`))
		var got []string
		for _, m := range a.before {
			v, _ := m.Get("progressToken")
			p, _ := m.Get("progress")
			got = append(got, m.Method+" "+string(v)+" "+string(p))
		}
		want := []string{mcp.Progress + " " + token + " 1", mcp.Progress + " " + token + " 2", mcp.Progress + " " + token + " 3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("token %s: %s", token, diff)
		}
	}
	a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "line", `{}`)))
	if line, _ := a.response.Text("line"); strings.Contains(line, "progressToken") {
		t.Errorf("a token was added: %s", line)
	}
}

func TestCorner5_19_ServerThatAnswersTwiceOrForOthers(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for _, test := range []struct{ tool, want string }{
		{"twice", `{"n":1}`}, {"foreign-id", `{"ok":true}`}, {"raw", `{}`},
	} {
		a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", test.tool, `{}`)))
		if got := string(a.response.Result); got != test.want {
			t.Errorf("%s: %s", test.tool, got)
		}
	}
}

func TestCorner5_1_CallersWithTheSameIDGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	const callers, calls = 64, 5000
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := caller; i < calls; i += callers {
				want := fmt.Sprintf(`{"caller":%d,"call":%d}`, caller, i)
				a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "slow-echo", want)))
				if err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
				if got := textOf(a.response); got != `{"jsonrpc":"2.0","id":1,"result":`+want+`}` {
					t.Errorf("call %d got %s", i, got)
					return
				}
			}
		})
	}
	all.Wait()
}

func pidOf(t *testing.T, s *Server, client rpc.Client, tool string) int {
	t.Helper()
	a := mustRun(t, s, newCall(t, client, toolCall("1", tool, `{}`)))
	text, _ := a.response.Get("pid")
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(textOf(a.response))
	}
	return pid
}

func TestCorner5_19_CancelReachesTheServer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rpc.Reply, cancel context.CancelFunc){
		"close":   func(r *rpc.Reply, _ context.CancelFunc) { r.Close() },
		"context": func(_ *rpc.Reply, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := legacyServer(t)
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`))) // ids 1 and 2 are used up
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reply, err := s.Handle(ctx, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			ended := make(chan error)
			go func() {
				_, err := reply.Next()
				ended <- err
			}()
			eventually(t, "the call is sent", func() bool { return queued(s) == 0 })
			end(reply, cancel)
			if err := <-ended; err == nil {
				t.Error("Next returned a message")
			}
			a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "cancelled", `{}`)))
			if ids, _ := a.response.Text("ids"); ids != "3" {
				t.Errorf("cancelled %q", ids)
			}
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "late", `{}`)))
		})
	}
}

func TestCorner5_19_SilenceTimesOutAndProgressDoesNot(t *testing.T) { // alone, because it is about time
	cfg := scripted("legacy")
	cfg.Timeout = 700 * time.Millisecond
	s := newServer(t, cfg)
	e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)), rpc.UpstreamTimeout)
	if !strings.Contains(e.Message, "700ms") {
		t.Error(e.Message)
	}
	a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "cancelled", `{}`)))
	if ids, _ := a.response.Text("ids"); ids == "" {
		t.Error("the server was not told")
	}
	a = mustRun(t, s, newCall(t, legacyClient(),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"steady","_meta":{"progressToken":1}}}`))
	if len(a.before) != 10 {
		t.Errorf("%d notifications", len(a.before))
	}
}

func TestCorner5_30_ChildrenSeeACleanEnvironment(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH_CANARY", "x")
	t.Setenv("GATEWAY_SECRET", "x")
	t.Setenv("XDG_CANARY", "seen")
	t.Setenv("LC_CANARY", "() { :;}; echo vulnerable")
	cfg := scripted("legacy")
	cfg.Env["CONFIGURED"] = "a b $HOME `id` $(id)"
	canary := filepath.Join(t.TempDir(), "canary")
	cfg.Args = []string{"; touch " + canary, "$(touch " + canary + ")", "a  b"}
	a := mustRun(t, newServer(t, cfg), newCall(t, legacyClient(), toolCall("1", "environment", `{}`)))
	var got struct{ Env, Args []string }
	if err := json.Unmarshal(a.response.Result, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg.Args, got.Args); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"CONFIGURED=" + cfg.Env["CONFIGURED"], "XDG_CANARY=seen", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("no %s in %q", want, got.Env)
		}
	}
	for _, entry := range got.Env {
		if strings.Contains(entry, "GATEWAY_SECRET") || strings.Contains(entry, "LD_") || strings.Contains(entry, "vulnerable") {
			t.Errorf("child sees %s", entry)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a shell ran")
	}
}

func TestNoticesGoToWhoeverListens(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	heard := make(chan string, 4)
	s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
	a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "changed", `{}`)))
	if len(a.before) != 0 {
		t.Errorf("the call was told %s", textOf(a.before[0]))
	}
	if m := <-heard; m != mcp.ToolsChanged {
		t.Error(m)
	}
	a = mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "log", `{}`)))
	want := `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"n":1.0}}}`
	if len(a.before) != 1 || textOf(a.before[0]) != want {
		t.Errorf("the only call in flight was told %v", a.before)
	}
}

func TestModernServersDoNotAsk(t *testing.T) {
	t.Parallel()
	a := mustRun(t, newServer(t, scripted("modern-junk")), newCall(t, modernClient(), modernToolCall("1", "x", `{}`)))
	if len(a.before) != 0 {
		t.Errorf("relayed %s", textOf(a.before[0]))
	}
}
