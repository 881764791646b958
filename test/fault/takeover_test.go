package fault

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program returns the path of the gateway as it is shipped.
func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds the gateway once, into a folder that is removed after the tests.
var build = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(scratch, "headgate")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/headgate/headgate/cmd/headgate").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// freeAddress is where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was done with it
	return l.Addr().String()
}

// shortDir is a folder whose path has room for a socket's name (unix(7): 108 bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// server is the program, serving.
type server struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{}
	err   error // how it ended
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *output) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *output) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), text)
}

func (j *output) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// launch starts the program, which is killed with the test.
func launch(t *testing.T, argv ...string) *server {
	t.Helper()
	return launchAs(t, nil, argv...)
}

// launchAs starts the program in the way that attr says.
func launchAs(t *testing.T, attr *syscall.SysProcAttr, argv ...string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	s.cmd.SysProcAttr = attr
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
		if t.Failed() {
			text := s.log.String()
			t.Logf("process %d:\n%s", s.cmd.Process.Pid, text[max(0, len(text)-4<<10):])
		}
	})
	return s
}

// writes waits until it has written a text.
func (s *server) writes(t *testing.T, text string) {
	t.Helper()
	eventually(t, "it writes "+text, func() bool {
		select {
		case <-s.ended:
			t.Fatalf("it ended: %v\n%s", s.err, s.log.String())
		default:
		}
		return s.log.has(text)
	})
}

// ends waits until it has ended, and returns how.
func (s *server) ends(t *testing.T) error {
	t.Helper()
	select {
	case <-s.ended:
		return s.err
	case <-time.After(patience):
		t.Fatalf("it does not end:\n%s", s.log.String())
		return nil
	}
}

// crowd is clients that call without a pause, each on a connection of its own, or on one for each call.
type crowd struct {
	calls  atomic.Int64
	mu     sync.Mutex
	failed []string
	took   []time.Duration
	work   sync.WaitGroup
	stop   context.CancelFunc
}

// gather starts a crowd at an address: of each four clients two have sessions, and two open a connection for each call.
func gather(t *testing.T, url string, count int) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k := &crowd{stop: cancel}
	for i := range count {
		c := newClient(t, url, i%2 == 0, "{}")
		if i%4 < 2 {
			c.alone()
		}
		k.work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				k.one(c, fmt.Sprintf("%dn%d", i, n))
			}
		})
	}
	t.Cleanup(func() { k.leave() })
	return k
}

func (k *crowd) one(c *client, nonce string) {
	began := time.Now()
	_, all, err := c.call(context.WithoutCancel(c.t.Context()), "fine__plain", fmt.Sprintf(`"arguments":{"nonce":%q}`, nonce), "", nil)
	k.calls.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.took = append(k.took, time.Since(began))
	if err != nil || len(all) != 1 || !strings.Contains(all[0].text, `"ok `+nonce+`"`) {
		k.failed = append(k.failed, fmt.Sprintf("%.300s %v", texts(all), err))
	}
}

// more waits until each client has made some more calls.
func (k *crowd) more(t *testing.T, calls int64) {
	t.Helper()
	want := k.calls.Load() + calls
	eventually(t, "the clients go on", func() bool { return k.calls.Load() >= want })
}

// leave ends the crowd and returns what failed.
func (k *crowd) leave() []string {
	k.stop()
	k.work.Wait()
	return k.failed
}

// figures says how many calls were made, and how long they took.
func (k *crowd) figures() string {
	slices.Sort(k.took)
	at := func(share float64) time.Duration {
		return k.took[int(share*float64(len(k.took)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d calls, %d failed; median %v, p99 %v, longest %v", len(k.took), len(k.failed), at(0.5), at(0.99), at(1))
}

// serving writes the configuration of the program, for an address where it stays, and starts it.
func serving(t *testing.T, bin, yaml string) (s *server, file, addr string) {
	t.Helper()
	dir, addr := shortDir(t), freeAddress(t)
	file = filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: " + addr + "\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + filepath.Join(dir, "data") + "\n" + yaml
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = launch(t, bin, "serve", "-c", file)
	s.writes(t, `"msg":"serving"`)
	return s, file, addr
}

// TestF5_Takeover replaces the program under load, again and again. No connection is refused or reset, no call fails, and
// sessions go on.
func TestF5_Takeover(t *testing.T) {
	rounds := times(3, 50)
	row := &Row{ID: "F5", What: "Binary upgrade on one host: `serve --takeover` under load, 0 refused, 0 reset, 0 failed", Count: fmt.Sprintf("%d takeovers, 16 clients of both eras, half of them with a connection for each call", rounds)}
	enter(t, row)
	fine := serveHostile(t, &misdeed{}, true)
	bin := program(t)
	s, file, addr := serving(t, bin, "shutdown: {drain: 20s}\nupstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	clients := gather(t, "http://"+addr+"/mcp", 16)
	for range rounds {
		clients.more(t, 64)
		next := launch(t, bin, "serve", "-c", file, "--takeover")
		next.writes(t, "taken over")
		if err := s.ends(t); err != nil {
			t.Fatalf("the old one: %v", err)
		}
		s = next
	}
	clients.more(t, 64)
	for i, f := range clients.leave() {
		if i < 10 {
			t.Error(f)
		}
	}
	row.Figures = clients.figures()
}

// TestF5_TakeoverFails ends one of the two in the middle of a takeover. The other one serves, and no call fails.
func TestF5_TakeoverFails(t *testing.T) {
	fine := serveHostile(t, &misdeed{}, true)
	bin := program(t)
	s, file, addr := serving(t, bin, "shutdown: {drain: 20s}\nupstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	clients := gather(t, "http://"+addr+"/mcp", 8)
	bad := file + ".bad"
	text, err := os.ReadFile(file)
	if err == nil { // it passes the checks, and cannot be served
		err = os.WriteFile(bad, append(text, fmt.Sprintf("tls: {cert: %q, key: %q}\n", file, file)...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	clients.more(t, 32)
	if next := launch(t, bin, "serve", "-c", bad, "--takeover"); next.ends(t) == nil {
		t.Error("a gateway without a certificate serves")
	}
	s.writes(t, "this one goes on")
	clients.more(t, 32)
	next := launch(t, bin, "serve", "-c", file, "--takeover") // and the next one is welcome
	next.writes(t, "taken over")
	if err := s.ends(t); err != nil {
		t.Error(err)
	}
	for _, f := range clients.leave() {
		t.Error(f)
	}
	// What one that is killed leaves is there for the next one.
	_ = next.cmd.Process.Kill()
	_ = next.ends(t)
	launch(t, bin, "serve", "-c", file, "--takeover").writes(t, `"msg":"serving"`)
}

// TestF5_CallsInFlight takes over while a call is in flight: it is answered by the old gateway, connections wait for
// the new one meanwhile, and a signal makes the old one give up.
func TestF5_CallsInFlight(t *testing.T) {
	entry, path := startWorker(t, httpModern)
	bin := program(t)
	s, file, addr := serving(t, bin, "shutdown: {drain: 60s}\nupstreams:\n"+entry)
	work := func(c *client, nonce string, ms int) <-chan string {
		out := make(chan string, 1)
		go func() {
			_, all, err := c.callAs(t.Context(), c.ids.Add(1), "worker__work", "", plan{task: task{Nonce: nonce, MS: ms}}, nil)
			out <- fmt.Sprint(texts(all), err)
		}()
		eventually(t, nonce+" has begun", func() bool {
			events, err := readDiary(path)
			return err == nil && !events[nonce][begun].IsZero()
		})
		return out
	}
	c := newClient(t, "http://"+addr+"/mcp", true, "{}")
	first := work(c, "first", 1000)
	next := launch(t, bin, "serve", "-c", file, "--takeover")
	s.writes(t, "making room")
	if got := <-first; !strings.Contains(got, "ok first") {
		t.Errorf("the call in flight: %s", got)
	}
	next.writes(t, "taken over")
	_ = s.ends(t)

	second := work(c, "second", 600_000)
	last := launch(t, bin, "serve", "-c", file, "--takeover")
	next.writes(t, "making room")
	if err := next.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-second; !strings.Contains(got, "draining") {
		t.Errorf("the call that is given up: %s", got)
	}
	last.writes(t, `"msg":"serving"`)
	_ = next.ends(t) // not cleanly: it was told to hurry
}
