package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// pidOf asks the fake child for its process id.
func pidOf(t *testing.T, r *raw) int {
	t.Helper()
	_, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"child__pid"}}`, nil)
	var answer struct {
		Result struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Result.Content) == 0 {
		t.Fatalf("pid: %s", body)
	}
	pid, err := strconv.Atoi(answer.Result.Content[0].Text)
	if err != nil {
		t.Fatalf("pid: %s", body)
	}
	return pid
}

func TestAChildThatIsKilledInMidCall(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "upstreams:\n"+stdioUpstream("child", stdioServer(t)))
	r := legacy(t, endpoint(g, "/mcp"), "{}")
	pid := pidOf(t, r)
	res := r.open(t.Context(), `{"jsonrpc":"2.0","id":"hung","method":"tools/call","params":{"name":"child__hang","_meta":{"progressToken":1}}}`, nil)
	defer res.Body.Close()
	stream := bufio.NewReader(res.Body)
	for event := ""; !strings.Contains(event, "notifications/progress"); {
		var err error
		if event, err = stream.ReadString('\n'); err != nil {
			t.Fatalf("no progress: %v", err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	body := string(rest)
	if n := strings.Count(body, `"id":"hung"`); n != 1 {
		t.Errorf("%d terminal messages, want 1", n)
	}
	for _, want := range []string{`"id":"hung"`, `"error"`, `child`, `killed`} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer lacks %s: %s", want, body)
		}
	}
	if again := pidOf(t, r); again == pid {
		t.Errorf("the next call was answered by the process that was killed")
	}
}

func TestAChildThatExitsSaysItsLastWords(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "upstreams:\n"+stdioUpstream("child", stdioServer(t)))
	r := legacy(t, endpoint(g, "/mcp"), "{}")
	_, body := r.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"child__crash","arguments":{"status":3,"stderr":"no license for today"}}}`, nil)
	for _, want := range []string{`"id":2`, `"error"`, `child`, `3`, `no license for today`} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer lacks %s: %s", want, body)
		}
	}
	pidOf(t, r) // the next call works
}
