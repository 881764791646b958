package mcpserver

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
)

func TestCorner5_30_LineEndsInsideAMessageDoNotBreakTheFraming(t *testing.T) {
	t.Parallel()
	a := mustRun(t, legacyServer(t), newCall(t, legacyClient(), "{\"jsonrpc\":\"2.0\",\r\n \"id\":1,\n\"method\":\"tools/call\",\"params\":{\"name\":\"line\",\r\"arguments\":{}}}"))
	if line, ok := a.response.Text("line"); !ok || strings.ContainsAny(line, "\r\n") {
		t.Error(textOf(a.response))
	}
}

func TestCorner5_30_LongLines(t *testing.T) {
	t.Parallel()
	cfg := scripted("legacy")
	s := newServer(t, cfg)
	s.dial.(*duplexDialer).connector.(*stdioDialer).maxResult = 2 << 20
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

// What arrives in pieces, within a character even, is whole at its line end.
func TestCorner5_30_LinesInPieces(t *testing.T) {
	t.Parallel()
	a := mustRun(t, legacyServer(t), newCall(t, legacyClient(), toolCall("1", "pieces", `{}`)))
	if text, _ := a.response.Text("text"); text != "aä" {
		t.Error(textOf(a.response))
	}
}

// A server that says much on its standard error is read there, so that it does not block.
func TestCorner5_30_StandardErrorDoesNotBlock(t *testing.T) {
	t.Parallel()
	mustRun(t, legacyServer(t), newCall(t, legacyClient(), toolCall("1", "loud", `{}`)))
}

func TestCorner5_30_ChildrenRunWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := scripted("legacy")
	if cfg.Command, err = filepath.Abs(cfg.Command); err != nil {
		t.Fatal(err)
	}
	cfg.Dir = dir
	a := mustRun(t, newServer(t, cfg), newCall(t, legacyClient(), toolCall("1", "where", `{}`)))
	if got, _ := a.response.Text("dir"); got != dir {
		t.Errorf("it runs in %s, want %s", got, dir)
	}
}

func TestCorner5_30_DamagedAnswerFailsItsCallOnly(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("legacy"))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "damaged", `{}`)), rpc.UpstreamFailed)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	if !strings.Contains(log.String(), "server sent what is no message") {
		t.Error("nothing was logged")
	}
}

func TestCorner5_30_GarbageIsLoggedSparingly(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("garbage"))
	for range 20 {
		mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	}
	if n := strings.Count(log.String(), "what is no message"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// queued counts the lines that wait to be written.
func queued(s *Server) (n int) {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	for _, seat := range s.links.open {
		q := seat.link.(*duplex).wire.(*stdioConn).queue
		q.mu.Lock()
		n += len(q.waiting)
		q.mu.Unlock()
	}
	return n
}

func TestCorner5_30_ServerThatDoesNotReadHoldsUpNobodyForEver(t *testing.T) {
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
	q := newOutbox(&pool{})
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
