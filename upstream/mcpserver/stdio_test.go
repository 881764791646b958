package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
		legacy, modern rpc.Revision // spoken for a client of that era
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
		{"drowsy-sdk", "auto", "2025-11-25", "2026-07-28"},
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
				if a.revision != test.modern || a.response.Err != nil {
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

func TestLineEndsInsideAMessageDoNotBreakTheFraming(t *testing.T) {
	t.Parallel()
	a := mustRun(t, legacyServer(t), newCall(t, legacyClient(), "{\"jsonrpc\":\"2.0\",\r\n \"id\":1,\n\"method\":\"tools/call\",\"params\":{\"name\":\"line\",\r\"arguments\":{}}}"))
	if line, ok := a.response.Text("line"); !ok || strings.ContainsAny(line, "\r\n") {
		t.Error(textOf(a.response))
	}
}

func TestIDsComeBackAsTheyWere(t *testing.T) {
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

func TestProgressTokensComeBackAsTheyWere(t *testing.T) {
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

func TestServerThatAnswersTwiceOrForOthers(t *testing.T) {
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

func TestCallersWithTheSameIDGetTheirOwnAnswers(t *testing.T) {
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

func TestLongLines(t *testing.T) {
	t.Parallel()
	cfg := scripted("legacy")
	s := newServer(t, cfg)
	s.dial.(*stdioDialer).maxResult = 2 << 20
	for _, test := range []struct {
		tool string
		size int
		fits bool
	}{
		{"big", 70_000, true},
		{"big", 1 << 20, true},
		{"id-last", 1 << 20, true},
		{"big", 3 << 20, false},
		{"id-last", 3 << 20, false},
		{"raw", 1, true},
	} {
		call := newCall(t, legacyClient(), toolCall("1", test.tool, strconv.Itoa(test.size)))
		if !test.fits {
			if e := mustFail(t, s, call, rpc.UpstreamFailed); !strings.Contains(e.Message, "cannot be read") {
				t.Error(e.Message)
			}
			continue
		}
		a := mustRun(t, s, call)
		if text, _ := a.response.Text("text"); len(text) != test.size && test.tool != "raw" {
			t.Errorf("%s %d: got %d", test.tool, test.size, len(text))
		}
	}
	long := strings.Repeat("y", 1<<20)
	a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{"text":"`+long+`"}`)))
	if text, _ := a.response.Text("text"); text != long {
		t.Errorf("a long argument came back as %d bytes", len(text))
	}
	if s.State().Restarts != 0 {
		t.Error("the process was restarted")
	}
}

func TestDamagedAnswerFailsItsCallOnly(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("legacy"))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "damaged", `{}`)), rpc.UpstreamFailed)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	if !strings.Contains(log.String(), "server wrote what is no message to stdout") {
		t.Error("nothing was logged")
	}
}

func TestGarbageIsLoggedSparingly(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("garbage"))
	for range 20 {
		mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	}
	if n := strings.Count(log.String(), "what is no message"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestDeathInMidCall(t *testing.T) {
	t.Parallel()
	cfg := scripted("legacy")
	cfg.Env["SECRET_TOKEN"] = "hunter2-hunter2"
	s, log := newLoggedServer(t, cfg)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))

	failures := make(chan error)
	for range 3 {
		go func() {
			_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
			failures <- err
		}()
	}
	eventually(t, "three calls in flight", func() bool { return inFlight(s) == 3 })
	_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "die", `{}`)))
	for _, err := range []error{err, <-failures, <-failures, <-failures} {
		e, ok := errors.AsType[*rpc.Error](err)
		if !ok || e.Code != rpc.UpstreamDown {
			t.Fatal(err)
		}
		for _, want := range []string{`upstream "files"`, "exit status 3", "first words", "last words", "[redacted]"} {
			if !strings.Contains(e.Message, want) {
				t.Errorf("no %q in %s", want, e.Message)
			}
		}
		for _, not := range []string{"hunter2", "\x1b", "\n"} {
			if strings.Contains(e.Message, not) {
				t.Errorf("%q in %s", not, e.Message)
			}
		}
	}
	if state := s.State(); state.Status != Down || state.Err == nil {
		t.Errorf("state %+v", state)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Error("a secret was logged")
	}
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	if state := s.State(); state.Status != Up || state.Restarts != 1 {
		t.Errorf("state %+v", state)
	}
}

// inFlight counts the calls on all links.
func inFlight(s *Server) (n int) {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	for _, seat := range s.links.open {
		c := seat.link.(*stdioConn)
		c.mu.Lock()
		n += len(c.calls)
		c.mu.Unlock()
	}
	return n
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

func TestKilledInMidCall(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for range 5 { // each time the restart is immediate, since the process was of use
		pid := pidOf(t, s, legacyClient(), "pid")
		failed := make(chan error)
		go func() {
			_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
			failed <- err
		}()
		eventually(t, "a call in flight", func() bool { return inFlight(s) == 1 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e, ok := errors.AsType[*rpc.Error](<-failed)
		if !ok || e.Code != rpc.UpstreamDown || !strings.Contains(e.Message, "signal: killed") {
			t.Fatal(e)
		}
	}
}

func TestRestartAnnouncesThatListsMayHaveChanged(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	var mu sync.Mutex
	var heard []string
	s.OnNotice(func(m *rpc.Message) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, m.Method)
	})
	pid := pidOf(t, s, legacyClient(), "pid")
	if len(heard) != 0 {
		t.Errorf("heard %v at the first start", heard)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the death is noticed", func() bool { return s.State().Status == Down })
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(heard, []string{mcp.ToolsChanged}) {
		t.Errorf("heard %v", heard)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted("crashing"))
	var last *rpc.Error
	for range 8 {
		last = mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown)
		if !strings.Contains(last.Message, "Cannot find module 'server'") || !strings.Contains(last.Message, "exit status 1") {
			t.Error(last.Message)
		}
		if last.RetryAfter > 0 {
			break
		}
	}
	if last.RetryAfter == 0 {
		t.Error("starts are not held back")
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ command, dir, want string }{
		{"no-such-command-anywhere", "", "not found in PATH"},
		{filepath.Join(t.TempDir(), "nothing"), "", "does not exist"},
		{os.Args[0], filepath.Join(t.TempDir(), "nowhere"), "does not exist"},
		{t.TempDir(), "", "may not be run"},
	} {
		cfg := scripted("legacy")
		cfg.Command, cfg.Dir = test.command, test.dir
		if e := mustFail(t, newServer(t, cfg), newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown); !strings.Contains(e.Message, test.want) {
			t.Error(e.Message)
		}
	}
}

func TestCancelReachesTheServer(t *testing.T) {
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

// queued counts the lines that wait to be written.
func queued(s *Server) (n int) {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	for _, seat := range s.links.open {
		q := seat.link.(*stdioConn).queue
		q.mu.Lock()
		n += len(q.waiting)
		q.mu.Unlock()
	}
	return n
}

func TestSilenceTimesOutAndProgressDoesNot(t *testing.T) { // alone, because it is about time
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

func TestServerThatDoesNotReadHoldsUpNobodyForEver(t *testing.T) {
	t.Parallel()
	cfg := scripted("deaf")
	cfg.Era, cfg.Timeout = "legacy", 500*time.Millisecond
	s := newServer(t, cfg)
	big := `{"text":"` + strings.Repeat("x", 300_000) + `"}`
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "raw", big)))
			if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.UpstreamTimeout {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := queued(s); n > 2 { // what nobody waits for any more is not kept
		t.Errorf("%d lines still wait", n)
	}
}

func TestTooMuchForAServerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	q := newLineQueue(&pool{})
	for i := 0; ; i++ {
		err := q.push(uint64(i+1), &buffer{make([]byte, 1<<20)})
		if errors.Is(err, errQueueFull) {
			if i != maxQueuedBytes>>20 {
				t.Errorf("full after %d MiB", i)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !q.withdraw(5) || q.withdraw(5) {
		t.Error("withdraw")
	}
	if err := q.push(99, &buffer{make([]byte, 1<<20)}); err != nil {
		t.Error(err)
	}
	q.close()
	if err := q.push(100, &buffer{}); !errors.Is(err, errQueueClosed) {
		t.Error(err)
	}
}

func TestChildrenSeeACleanEnvironment(t *testing.T) {
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

// gone reports whether a process has ended or is only waiting to be reaped by its
// parent.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestShutdownLeavesNoProcess(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"legacy", "stubborn", "family", "deaf"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			cfg := scripted(script)
			cfg.Era = "legacy"
			s := newServer(t, cfg)
			var pids []int
			if script == "deaf" {
				if _, err := s.Describe(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				pids = append(pids, pidOf(t, s, legacyClient(), "pid"))
			}
			if script == "family" {
				pids = append(pids, pidOf(t, s, legacyClient(), "child"))
			}
			begun := time.Now()
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 4*closeGrace {
				t.Errorf("took %v", took)
			}
			for _, pid := range pids {
				eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool { return gone(pid) })
			}
			mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown)
		})
	}
}

func TestShutdownInAHurry(t *testing.T) {
	t.Parallel()
	cfg := scripted("stubborn")
	cfg.Era = "legacy"
	s := newServer(t, cfg)
	pid := pidOf(t, s, legacyClient(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Close(ctx)
	eventually(t, "the process is gone", func() bool { return gone(pid) })
}

func TestOrphansOfADeadServerAreKilled(t *testing.T) {
	t.Parallel()
	cfg := scripted("family")
	cfg.Era = "legacy"
	s := newServer(t, cfg)
	child := pidOf(t, s, legacyClient(), "child")
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "die", `{}`)), rpc.UpstreamDown)
	eventually(t, "its child is gone", func() bool { return gone(child) })
}

func TestCloseDuringStart(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("mute"))
	failed := make(chan error)
	go func() {
		_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
		failed <- err
	}()
	eventually(t, "the process runs", func() bool { return strings.Contains(log.String(), "here I am") })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("no error")
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
