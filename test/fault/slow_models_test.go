package fault

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
)

// torrent is an engine with OpenAI's API that answers with chunks as fast as they are taken, for ever.
type torrent struct {
	*httptest.Server
	sent, running atomic.Int64 // bytes, and answers that go on
}

func startTorrent(t *testing.T) *torrent {
	f := &torrent{}
	event := fmt.Sprintf("data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", strings.Repeat("x", 16<<10))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.running.Add(1)
		defer f.running.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			n, err := w.Write([]byte(event))
			if f.sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// invocation asks for a stream of the torrent.
const invocation = `{"id":1,"method":"invoke","params":{"model":"flood","prompt":"x","stream":true}}`

// askOverHTTP asks for a stream and returns the connection on which it comes.
func askOverHTTP(_ context.Context, addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_, err = fmt.Fprintf(conn, "POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(invocation), invocation)
	}
	return conn, err
}

// askOverSocket does so over a WebSocket.
func askOverSocket(ctx context.Context, addr string) (net.Conn, error) {
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/rpc", nil)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	return conn.NetConn(), conn.WriteMessage(websocket.TextMessage, []byte(invocation))
}

// TestT29_SlowReadersOfModels lets clients read a byte a second of what an engine makes as fast as it can. They hold the engine
// up, and not the gateway's memory.
func TestT29_SlowReadersOfModels(t *testing.T) {
	for name, ask := range map[string]func(context.Context, string) (net.Conn, error){"HTTP": askOverHTTP, "a WebSocket": askOverSocket} {
		t.Run(name, func(t *testing.T) {
			readers := times(40, 200)
			row := &Row{
				ID: "T29", What: "clients that read 1 B/s of a model that never stops, over " + name + ": 320 KiB each at most, and the engine is held up",
				Count: fmt.Sprintf("%d readers", readers),
			}
			enter(t, row)
			engine := startTorrent(t)
			g := spawn(t, "bounds: {slow_reader: 1h}\nmodels:\n  flood: {backends: [{kind: openai, url: \""+engine.URL+"/v1\"}], warm_up: {at: never}}\n")
			before := g.memory(t, "VmRSS")
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range readers {
				conn, err := ask(ctx, g.addr())
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // what the system buffers is not the gateway's
				all.Go(func() { sip(ctx, conn) })
			}
			eventually(t, "all are answered", func() bool { return engine.running.Load() == int64(readers) })
			stuck(t, &engine.sent)
			growth := g.memory(t, "VmHWM") - before
			cancel()
			all.Wait()
			eventually(t, "the engine is left", func() bool { return engine.running.Load() == 0 })
			row.Figures = fmt.Sprintf("%d KiB for each reader", growth>>10/int64(readers))
			if growth > int64(readers)*perReader*memoryOfRaces {
				t.Errorf("memory grew by %d KiB for each of %d readers", growth>>10/int64(readers), readers)
			}
			t.Log(row.Figures)
		})
	}
}
