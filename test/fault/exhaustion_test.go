package fault

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/peer"
)

// limited starts the program in a shell that limits it first.
func limited(t *testing.T, limit, yaml string) (s *server, at peer.Backend) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Fatal("limits are set in the way of Linux")
	}
	dir := shortDir(t)
	at = peer.Backend{Address: freeAddress(t), Health: freeAddress(t)}
	file := filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: " + at.Address + "\nadmin: {listen: " + at.Health + "}\ndata_dir: " + filepath.Join(dir, "data") +
		"\nshutdown: {grace: 0s, drain: 5s}\nbounds: {slow_reader: 10s}\n" + yaml
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = launch(t, "sh", "-c", limit+`; exec "$0" "$@"`, program(t), "serve", "-c", file)
	s.writes(t, `"msg":"serving"`)
	return s, at
}

// watchHealth asks a gateway's health again and again until it is told to stop, and fails the test where there is no answer.
func watchHealth(t *testing.T, at peer.Backend) (stop func() (asked int64)) {
	var asked atomic.Int64
	end := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if !says200(t, "http://"+at.Health+"/healthz") {
				t.Error("the health endpoint does not answer")
			}
			asked.Add(1)
		}
	})
	return func() int64 {
		close(end)
		work.Wait()
		return asked.Load()
	}
}

// TestF17_Descriptors opens more connections than the process may have descriptors. Clients that are connected are served, the others
// wait, operators are answered, and the log says so once a second at most.
func TestF17_Descriptors(t *testing.T) {
	conns, hold := times(300, 3000), time.Duration(times(2, 20))*time.Second
	row := &Row{
		ID: "F17", What: "Descriptors run out: those who are connected are served, health answers, one line a second, all recovers",
		Count: fmt.Sprintf("limit 128, %d connections, for %v", conns, hold),
	}
	enter(t, row)
	fine := serveHostile(t, &misdeed{}, true)
	s, at := limited(t, "ulimit -n 128", "upstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	url := "http://" + at.Address + "/mcp"
	clients := &crowd{}
	connected := newClient(t, url, true, "{}")
	clients.one(connected, "first")
	stop := watchHealth(t, at)
	began := time.Now()
	held := make([]net.Conn, 0, conns)
	for range conns {
		conn, err := net.DialTimeout("tcp", at.Address, patience)
		if err != nil {
			break // the queue of the system is full
		}
		held = append(held, conn)
	}
	eventually(t, "the log says that it is full", func() bool { return s.log.has("no more connections are accepted") })
	for n := 0; time.Since(began) < hold; n++ {
		clients.one(connected, fmt.Sprint(n))
		time.Sleep(10 * time.Millisecond)
	}
	lines := strings.Count(s.log.String(), "no more connections are accepted") + strings.Count(s.log.String(), "no connection can be accepted")
	if lines > int(time.Since(began).Seconds())+1 {
		t.Errorf("%d lines in %v", lines, time.Since(began))
	}
	for _, c := range held {
		_ = c.Close()
	}
	healed := time.Now()
	fresh := newClient(t, url, false, "{}")
	if _, all, err := fresh.call(t.Context(), "fine__plain", `"arguments":{"nonce":"fresh"}`, "", nil); err != nil || len(all) != 1 || all[0].Result == nil {
		t.Errorf("afterwards: %.300s %v", texts(all), err)
	}
	took := time.Since(healed)
	asked := stop()
	for i, f := range clients.failed {
		if i < 10 {
			t.Error(f)
		}
	}
	row.Figures = fmt.Sprintf("%d connections were held; %d lines in the log; health asked %d times; a new client served after %v; of who was connected: %s",
		len(held), lines, asked, took.Round(time.Millisecond), clients.figures())
}

// TestF17_Memory lets a gateway with little memory answer with more than it has. What is too much is refused in words, operators are
// answered, and all recovers.
func TestF17_Memory(t *testing.T) {
	const limit = 64 << 20
	width, calls := times(32, 64), times(8, 60)
	row := &Row{
		ID: "F17", What: "Memory limit of 64 MiB: each call is answered or refused in words, health answers, all recovers",
		Count: fmt.Sprintf("%d clients with %d calls each, 512 KiB an answer", width, calls),
	}
	enter(t, row)
	text := strings.Repeat("x", 512<<10)
	evil := serveHostile(t, &misdeed{say: func(v *victim) []string {
		return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{%s"content":[{"type":"text","text":%q}]}}`, v.id, complete(v.modern), text)}
	}}, true)
	s, at := limited(t, "export GOMEMLIMIT=64MiB", "upstreams:\n"+upstreamEntry("evil", "modern", evil.url(), nil))
	url := "http://" + at.Address + "/mcp"
	stop := watchHealth(t, at)
	var served, refused atomic.Int64
	var all sync.WaitGroup
	for range width {
		c := newClient(t, url, true, "{}")
		all.Go(func() {
			for range calls {
				_, got, err := c.call(t.Context(), "evil__hostile", `"arguments":{"nonce":"n"}`, "", nil)
				switch {
				case err != nil || len(got) != 1:
					t.Errorf("%.300s %v", texts(got), err)
				case got[0].Result != nil:
					served.Add(1)
				case strings.Contains(got[0].text, `"retryable":true`):
					refused.Add(1)
				default:
					t.Errorf("%.300s", got[0].text)
				}
			}
		})
	}
	all.Wait()
	asked := stop()
	c := newClient(t, url, true, "{}")
	eventually(t, "a call is answered again", func() bool {
		_, got, err := c.call(t.Context(), "evil__plain", `"arguments":{"nonce":"after"}`, "", nil)
		return err == nil && len(got) == 1 && got[0].Result != nil
	})
	peak := (&child{cmd: s.cmd}).memory(t, "VmHWM")
	row.Figures = fmt.Sprintf("%d served, %d refused; health asked %d times; %d MiB resident at most", served.Load(), refused.Load(), asked, peak>>20)
	if served.Load() == 0 || peak > 2*limit {
		t.Error(row.Figures)
	}
}
