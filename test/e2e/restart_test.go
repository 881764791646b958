package e2e

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// killable is a gateway in a process of its own, which can be killed and started
// again at the same address.
type killable struct {
	t       *testing.T
	binary  string
	file    string
	addr    string
	process *exec.Cmd
}

// newKillable builds the program and starts it with an upstream.
func newKillable(t *testing.T, upstreams string) *killable {
	t.Helper()
	folder := t.TempDir()
	k := &killable{t: t, binary: headgate(t), file: filepath.Join(folder, "headgate.yaml"), addr: freeAddress(t)}
	text := fmt.Sprintf("version: 1\nlisten: %s\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\nupstreams:\n%s", k.addr, filepath.Join(folder, "data"), upstreams)
	if err := os.WriteFile(k.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k.start()
	t.Cleanup(k.kill)
	return k
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the gateway and waits until it accepts connections.
func (k *killable) start() {
	k.t.Helper()
	k.process = exec.Command(k.binary, "serve", "-c", k.file) // its life is the test's to end
	k.process.Stderr = logTo{k.t}
	if err := k.process.Start(); err != nil {
		k.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var d net.Dialer
		conn, err := d.DialContext(k.t.Context(), "tcp", k.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("the gateway does not listen: %v", err)
		}
	}
}

// kill ends it without a chance to say or write anything.
func (k *killable) kill() {
	_ = k.process.Process.Kill()
	_ = k.process.Wait()
}

func (k *killable) url() string { return "http://" + k.addr + "/mcp" }

// 5.16, 5.31: clients go on with their sessions after the gateway was killed, and
// sessions that were ended stay dead.
func TestSessionsOutliveAGatewayThatIsKilled(t *testing.T) {
	t.Parallel()
	_, legacyServer := fakeUpstream(t, fake.Config{Name: "old", Eras: fake.Legacy})
	_, modernServer := fakeUpstream(t, fake.Config{Name: "new", Eras: fake.Modern})
	k := newKillable(t, httpUpstream("old", legacyServer)+httpUpstream("new", modernServer))

	plain := legacy(t, k.url(), "{}")
	askable := legacy(t, k.url(), `{"roots":{},"elicitation":{}}`)
	left := legacy(t, k.url(), "{}")
	if status := end(t, left); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d", status)
	}
	foreign := goSDKSession(t, overHTTP(k.url()), "2025-11-25")

	for range 2 {
		k.kill()
		k.start()
		for name, r := range map[string]*raw{"plain": plain, "askable": askable} {
			for _, upstream := range []string{"old", "new"} {
				res, body := r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+upstream+`__echo","arguments":{"text":"still here"}}}`, nil)
				if res.StatusCode != http.StatusOK || !strings.Contains(message(res, body), "still here") {
					t.Errorf("%s at %s: %s: %s", name, upstream, res.Status, body)
				}
			}
		}
		if res, body := left.post(`{"jsonrpc":"2.0","id":8,"method":"ping"}`, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("a session that was ended came back: %s: %s", res.Status, body)
		}
		got, err := foreign.CallTool(t.Context(), &gosdk.CallToolParams{Name: "old__echo", Arguments: map[string]any{"text": "still here"}})
		if err != nil || !strings.Contains(jsonOf(t, got), "still here") {
			t.Errorf("go-sdk: %s, %v", jsonOf(t, got), err)
		}
	}
}

// 5.16, 5.31: what a legacy client has subscribed to is subscribed to anew after the gateway
// was killed, for clients whose ids hold all they said of themselves and for those whose
// do not. The client does nothing for it but to open its stream again.
func TestSubscriptionsOutliveAGatewayThatIsKilled(t *testing.T) {
	t.Parallel()
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era+" server", func(t *testing.T) {
			t.Parallel()
			server, url := startChanging(t, era)
			_, other := fakeUpstream(t, fake.Config{})
			k := newKillable(t, fmt.Sprintf("  up: {url: %q, era: %s}\n", url, era)+httpUpstream("other", other))
			clients := map[string]*raw{
				"brief":   legacy(t, k.url(), "{}"),
				"verbose": legacy(t, k.url(), `{"experimental":{"x":"`+strings.Repeat("x", 20_000)+`"}}`),
				"left":    legacy(t, k.url(), `{"experimental":{"x":"`+strings.Repeat("x", 20_000)+`"}}`),
			}
			for name, r := range clients {
				if _, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+note+`"}}`, nil); !strings.Contains(body, `"result":{}`) {
					t.Fatalf("%s subscribes: %s", name, body)
				}
			}
			if status := end(t, clients["left"]); status != http.StatusNoContent {
				t.Fatalf("DELETE: %d", status)
			}
			k.kill()
			k.start()
			if res, body := clients["left"].post(`{"jsonrpc":"2.0","id":8,"method":"ping"}`, nil); res.StatusCode != http.StatusNotFound {
				t.Errorf("a session that was ended came back: %s: %s", res.Status, body)
			}
			for name, r := range clients {
				if name == "left" {
					continue
				}
				stream := r.hearing()
				await(t, stream, "resources/updated", note) // it may have changed meanwhile
				if err := server.ResourceUpdated(t.Context(), &gosdk.ResourceUpdatedNotificationParams{URI: note}); err != nil {
					t.Fatal(err)
				}
				await(t, stream, "resources/updated", note)
				r.post(`{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe","params":{"uri":"`+note+`"}}`, nil)
			}
		})
	}
}

// A file that is not what was written is refused, in words that say what to do.
func TestADamagedStateIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "state.db"), bytes.Repeat([]byte("not a database "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.DataDir = folder
	g, err := gateway.New(t.Context(), cfg, gateway.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err == nil {
		t.Fatalf("it was taken: %v", g.Stop(t.Context()))
	}
	for _, want := range []string{"data_dir", "state.db", "damaged", "move it away"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

// end sends a session's DELETE and returns the status.
func end(t *testing.T, r *raw) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", r.session)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
