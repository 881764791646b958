package fault

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/test/peer"
)

// subscriber is a client that has one stream open all the while, and opens it again when that ends.
type subscriber struct {
	*client
	ends, broken atomic.Int64 // streams that ended as they should, and others
}

// follow opens streams until ctx ends. One of a modern client ends with a result, one of a session just ends.
func (s *subscriber) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.once(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			s.broken.Add(1)
			s.t.Logf("a stream ended so: %v", err)
			time.Sleep(10 * time.Millisecond) // no gateway may be ready for a moment
			continue
		}
		s.ends.Add(1)
	}
}

func (s *subscriber) once(ctx context.Context) error {
	if s.modern {
		res, err := s.post(ctx, s.request(s.ids.Add(1), "subscriptions/listen", `"notifications":{"toolsListChanged":true}`, ""), "subscriptions/listen", "")
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		all, err := readMessages(res, nil)
		if err == nil && (len(all) == 0 || all[len(all)-1].Result == nil) {
			err = fmt.Errorf("%s: no result at the end of %v", res.Status, texts(all))
		}
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", s.session)
	req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	res, err := s.web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", res.Status)
	}
	return nil
}

// node is one gateway of several behind a balancer.
type node struct {
	*server
	bin, file string
}

func (n *node) start(t *testing.T) {
	t.Helper()
	n.server = launch(t, n.bin, "serve", "-c", n.file)
	n.writes(t, `"msg":"serving"`)
}

// says200 reports whether a page is there.
func says200(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// TestF4_RollingRestart restarts gateways behind a balancer one after the other, under load, with SIGTERM. No call fails, streams end
// as their era resumes, and sessions go on, here or there.
func TestF4_RollingRestart(t *testing.T) {
	restarts := times(3, 20)
	row := &Row{
		ID: "F4", What: "Rolling restart of 2 gateways behind HAProxy under load: 0 failed calls, streams end gracefully, sessions go on at either",
		Count: fmt.Sprintf("%d restarts, 16 clients and 4 streams of both eras, no retries by the balancer", restarts),
	}
	enter(t, row)
	fine := serveHostile(t, &misdeed{}, true)
	bin, dir := program(t), t.TempDir()
	key := ""
	var nodes []*node
	var behind []peer.Backend
	for i := range 2 {
		at := peer.Backend{Address: freeAddress(t), Health: freeAddress(t)}
		n := &node{bin: bin, file: filepath.Join(dir, fmt.Sprintf("%d.yaml", i))}
		data := filepath.Join(dir, fmt.Sprint(i))
		text := "version: 1\nlisten: " + at.Address + "\nadmin: {listen: " + at.Health + "}\ndata_dir: " + data + "\nshutdown: {grace: 1s, drain: 20s}\nupstreams:\n" +
			upstreamEntry("fine", "modern", fine.url(), nil)
		if err := os.WriteFile(n.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if i > 0 { // one key seals the sessions of all
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, "seal.key"), []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n.start(t)
		if i == 0 {
			text, err := os.ReadFile(filepath.Join(data, "seal.key"))
			if err != nil {
				t.Fatal(err)
			}
			key = string(text)
		}
		nodes, behind = append(nodes, n), append(behind, at)
	}
	front := peer.ServeBalancer(t, behind).URL
	url := front + "/mcp"
	balanced := func() {
		t.Helper()
		eventually(t, "the balancer knows all to be ready", func() bool { return says200(t, front+peer.Balanced) })
	}
	balanced()
	clients := gather(t, url, 16)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var streams sync.WaitGroup
	var subscribers []*subscriber
	for i := range 4 {
		s := &subscriber{client: newClient(t, url, i%2 == 0, "{}")}
		subscribers = append(subscribers, s)
		streams.Go(func() { s.follow(ctx) })
	}
	for i := range restarts {
		n := nodes[i%len(nodes)]
		clients.more(t, 64)
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := n.ends(t); err != nil {
			t.Errorf("restart %d: %v", i, err)
		}
		clients.more(t, 64)
		n.start(t)
		balanced()
	}
	clients.more(t, 64)
	cancel()
	streams.Wait()
	for i, f := range clients.leave() {
		if i < 10 {
			t.Error(f)
		}
	}
	var ends, broken int64
	for _, s := range subscribers {
		ends, broken = ends+s.ends.Load(), broken+s.broken.Load()
	}
	row.Figures = fmt.Sprintf("%s; %d streams ended gracefully, %d otherwise", clients.figures(), ends, broken)
	if broken > 0 || ends == 0 {
		t.Error(row.Figures)
	}
}
