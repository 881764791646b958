package dialect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// overSocket sends all messages over one WebSocket, and answers the pings of the gateway.
type overSocket struct {
	target Target
	conn   *websocket.Conn
	read   chan struct{} // closed when nothing is read any more

	mu      sync.Mutex // one writer at a time; guards what follows too
	answers map[string]chan Object
	err     error // why nothing is read any more
}

func dialSocket(ctx context.Context, target Target) (client, error) { return connect(ctx, target, "") }

func connect(ctx context.Context, target Target, session string) (*overSocket, error) {
	header := http.Header{}
	if target.Header != nil {
		header = target.Header.Clone()
	}
	if session != "" {
		header.Set("Mcp-Session-Id", session)
	}
	d := websocket.Dialer{Subprotocols: []string{"jsonrpc"}}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(target.URL, "http"), header)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &overSocket{target: target, conn: conn, read: make(chan struct{}), answers: map[string]chan Object{}}
	go c.listen()
	return c, nil
}

func (c *overSocket) resume(ctx context.Context, session string) (client, error) {
	return connect(ctx, c.target, session)
}

func (*overSocket) keep(string) {}

// close loses the connection, without a word.
func (c *overSocket) close() {
	_ = c.conn.NetConn().Close()
	<-c.read
}

func (c *overSocket) say(m map[string]any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.WriteJSON(m)
}

// roomy is more objects than the answer to a request of a test has before it is read.
const roomy = 1 << 16

func (c *overSocket) ask(_ context.Context, id any, method string, params map[string]any) (answer, error) {
	key := fmt.Sprint(id)
	objects := make(chan Object, roomy)
	c.mu.Lock()
	c.answers[key] = objects
	c.mu.Unlock()
	return &frames{c, objects, key}, c.say(map[string]any{"id": id, "method": method, "params": params})
}

// listen gives each answer what is its own.
func (c *overSocket) listen() {
	defer close(c.read)
	for {
		_, text, err := c.conn.ReadMessage()
		var o Object
		if err == nil {
			if err = json.Unmarshal(text, &o); err != nil {
				err = fmt.Errorf("%q: %w", text, err)
			}
		}
		if err == nil && o.Method == "ping" {
			err = c.say(map[string]any{"id": o.ID, "result": map[string]any{}})
			if err == nil {
				continue
			}
		}
		c.mu.Lock()
		if err != nil {
			c.err = err
		}
		objects := c.answers[string(o.ID)]
		c.mu.Unlock()
		if err != nil {
			return
		}
		if objects != nil {
			objects <- o
		}
	}
}

// frames is the objects of an answer that comes over a WebSocket.
type frames struct {
	c       *overSocket
	objects chan Object
	key     string
}

func (f *frames) next() (Object, error) {
	select {
	case o := <-f.objects:
		return o, nil
	default:
	}
	select {
	case o := <-f.objects:
		return o, nil
	case <-f.c.read:
		f.c.mu.Lock()
		defer f.c.mu.Unlock()
		return Object{}, f.c.err
	}
}

// leave forgets the answer. Over a WebSocket nobody is told.
func (f *frames) leave() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	delete(f.c.answers, f.key)
}
