package fault

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/test/fake"
)

// A mortal is an upstream in a process of its own, which is killed. Its tool "work" never ends, after it has reported
// progress; its tool "plain" answers at once.

// actMortal is a mortal over a transport: stdio, or http or ws at an address. It writes down its process, and calls when they begin.
func actMortal(transport, era, dir, addr string) int {
	ctx := context.Background()
	d, err := openDiary(filepath.Join(dir, "diary"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pid.tmp"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "pid.tmp"), filepath.Join(dir, "pid"))
	}
	eras := fake.Legacy
	if era == "modern" {
		eras = fake.Modern
	}
	server := fake.New(fake.Config{Name: "mortal", Eras: eras, TTL: time.Hour, SkipValidation: true, Tools: []fake.Tool{
		{Name: "plain", Behaviour: fake.Echo},
		{Name: "work", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
			var t task
			if err := json.Unmarshal(c.Arguments, &t); err != nil {
				return nil, err
			}
			d.note(t.Nonce, begun)
			_ = c.Progress(1, 0)
			return fake.Hang(ctx, c)
		}},
	}})
	switch {
	case err != nil:
	case transport == "stdio":
		err = server.ServeStdio(ctx, os.Stdin, os.Stdout)
	case transport == "http":
		err = listenAndServe(addr, server)
	default:
		err = listenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { frames(ctx, server, w, r) }))
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// listenAndServe serves where another process has just been killed.
func listenAndServe(addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return http.Serve(l, h) //nolint:gosec // it is killed soon
}

// frames lets a server that speaks lines speak frames.
func frames(ctx context.Context, server *fake.Server, w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{Subprotocols: []string{"mcp"}}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	fromClient, in := io.Pipe()
	out, toClient := io.Pipe()
	go func() { _ = server.ServeStdio(ctx, fromClient, toClient) }()
	go func() {
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil || conn.WriteMessage(websocket.TextMessage, line) != nil {
				return
			}
		}
	}()
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		_, _ = in.Write(append(text, '\n'))
	}
}

// mortal is one place where a mortal lives, and lives again.
type mortal struct {
	transport, era, dir, addr string
	cmd                       *exec.Cmd // nil for one that the gateway starts
}

// live starts it, where the gateway does not.
func (m *mortal) live(t *testing.T) {
	t.Helper()
	if m.transport == "stdio" {
		return
	}
	line := self("mortal", m.transport, m.era, m.dir, m.addr)
	m.cmd = exec.Command(line[0], line[1:]...)
	m.cmd.Stderr = os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the upstream does not come up: %v", err)
	}
}

// die kills it, and forgets what calls it had.
func (m *mortal) die(t *testing.T) {
	t.Helper()
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait() // it was killed
		m.cmd = nil
		return
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// holds are the nonces of the calls that have begun there, since it was asked last.
func (m *mortal) holds(t *testing.T, forget bool) map[string]bool {
	t.Helper()
	path := filepath.Join(m.dir, "diary")
	events, err := readDiary(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for nonce := range events {
		out[nonce] = true
	}
	if forget {
		_ = os.Truncate(path, 0)
	}
	return out
}

// victims are the calls of one round.
type victims struct {
	mu    sync.Mutex
	heard map[string]bool      // those that have begun, as far as their clients know
	ended map[string]time.Time // when each had its error
	all   sync.WaitGroup
}

// begin makes calls that do not end by themselves, by clients of both eras.
func begin(t *testing.T, clients []*client, round, count int) *victims {
	v := &victims{heard: map[string]bool{}, ended: map[string]time.Time{}}
	for n := range count {
		v.all.Go(func() {
			nonce := strconv.Itoa(round*count + n)
			c := clients[n%len(clients)]
			terminals := 0
			_, all, err := c.call(t.Context(), "mortal__work", fmt.Sprintf(`"arguments":{"nonce":%q}`, nonce), fmt.Sprintf(`"progressToken":%d`, n+1), func(m message) {
				v.mu.Lock()
				defer v.mu.Unlock()
				if m.Method != "" {
					v.heard[nonce] = true
					return
				}
				if terminals++; m.Error == nil {
					t.Errorf("%s: %s", nonce, m.text)
				}
				v.ended[nonce] = time.Now()
			})
			if err != nil || terminals != 1 {
				t.Errorf("%s: %d terminal messages, %v: %v", nonce, terminals, err, texts(all))
			}
		})
	}
	return v
}

func (v *victims) count() (heard, ended int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.heard), len(v.ended)
}

// over waits until the calls that a mortal held have ended, and returns how long that took at most.
func (v *victims) over(t *testing.T, held map[string]bool, killed time.Time) (slowest time.Duration) {
	t.Helper()
	eventually(t, "the calls of the killed have ended", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		slowest = 0
		for nonce := range held {
			at, ok := v.ended[nonce]
			if !ok {
				return false
			}
			slowest = max(slowest, at.Sub(killed))
		}
		return true
	})
	return slowest
}

// spareDescriptors fails a test that leaves descriptors open. It is called first, so that it looks last.
func spareDescriptors(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := count()
	t.Cleanup(func() { eventually(t, "all descriptors are closed", func() bool { return count() <= before }) })
}

// TestF1_UpstreamIsKilled kills upstreams in the middle of their answers. Each client has exactly one error, and the next call is
// answered: by the other backend, or by the process that is started anew.
func TestF1_UpstreamIsKilled(t *testing.T) {
	const promised, width = time.Second, 10
	total := times(20, 2000) // a thousand kills in all
	for _, transport := range []string{"http", "ws", "stdio"} {
		for _, era := range []string{"legacy", "modern"} {
			t.Run(transport+" "+era, func(t *testing.T) {
				row := &Row{
					ID: "F1", What: "kill -9 of a " + era + " upstream over " + transport + " in mid-stream: one error each within 1 s, and the next call is answered within 1 s",
					Count: fmt.Sprintf("%d calls of clients of both eras, %d at a time", total/2, width),
				}
				enter(t, row)
				leakless(t)
				spareDescriptors(t)
				places := []*mortal{{transport: transport, era: era, dir: t.TempDir(), addr: freeAddress(t)}}
				entry := upstreamEntry("mortal", era, "", self("mortal", "stdio", era, places[0].dir))
				if transport != "stdio" {
					places = append(places, &mortal{transport: transport, era: era, dir: t.TempDir(), addr: freeAddress(t)})
					entry = fmt.Sprintf("  mortal: {era: %s, backends: [{url: %q}, {url: %q}], breaker: {failures: 1000}}\n", era,
						transport+"://"+places[0].addr, transport+"://"+places[1].addr)
				}
				for _, m := range places {
					m.live(t)
					t.Cleanup(func() {
						if m.cmd != nil {
							m.die(t)
						}
					})
				}
				g := startGateway(t, "upstreams:\n"+entry)
				clients := []*client{newClient(t, g.URL(), true, "{}"), newClient(t, g.URL(), false, "{}")}
				var slowest, after time.Duration
				kills := 0
				for round := 0; round*width < total/2 && !t.Failed(); round++ {
					v := begin(t, clients, round, width)
					eventually(t, "all have begun", func() bool { heard, ended := v.count(); return heard == width || ended > 0 })
					for _, m := range places {
						held := m.holds(t, true)
						killed := time.Now()
						m.die(t)
						kills++
						slowest = max(slowest, v.over(t, held, killed))
						began := time.Now()
						for k := 0; ; k++ { // a call that came upon the process as it died is answered so
							_, all, err := clients[0].call(t.Context(), "mortal__plain", `"arguments":{"text":"alive"}`, "", nil)
							if err == nil && len(all) == 1 && strings.Contains(all[0].text, "alive") {
								break
							}
							if err != nil || len(all) != 1 || time.Since(began) > patience {
								t.Fatalf("the next call: %v %v", texts(all), err)
							}
						}
						after = max(after, time.Since(began))
						m.live(t)
					}
					v.all.Wait()
				}
				row.Figures = fmt.Sprintf("%d kills; the last error after %v, the next answer after %v at most", kills, slowest.Round(100*time.Microsecond), after.Round(100*time.Microsecond))
				if *full && (slowest > promised || after > promised) {
					t.Error(row.Figures)
				}
			})
		}
	}
}
