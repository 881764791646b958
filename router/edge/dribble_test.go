package edge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/edge"
)

// Connections on which a byte a second comes are given up, wherever in a request they
// are, while others are served as ever. That nothing of them is left is what ends the
// test: in its bubble no goroutine may be.
func TestT10_DribblingConnectionsAreGivenUp(t *testing.T) {
	t.Parallel()
	const each, patience = 100, 15 * time.Second
	beginnings := map[string]string{
		"before the request": "\r\n",
		"in the first line":  "POST /m",
		"in the header":      "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
		"in the body": "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n" +
			"Content-Length: 100000\r\n\r\n",
		"in a chunk": "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n" +
			"Transfer-Encoding: chunked\r\n\r\nFFFF\r\n",
	}
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true, edge: edge.Config{SlowSender: 10 * time.Second}})
		dial := g.client.Transport.(*http.Transport).DialContext
		var gone atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for where, beginning := range beginnings {
			for range each {
				all.Go(func() {
					dribble(t.Context(), t, dial, beginning)
					gone.Add(1)
					if took := time.Since(began); took > patience {
						t.Errorf("%s: given up after %v", where, took)
					}
				})
			}
		}
		for range 20 {
			asked := time.Now()
			if a := g.do("POST", `{"jsonrpc":"2.0","id":1,"method":"x/y"}`, g.session()...); a.status != http.StatusOK || time.Since(asked) > 0 {
				t.Errorf("meanwhile: %d %s after %v", a.status, a.body, time.Since(asked))
			}
			time.Sleep(time.Second)
		}
		all.Wait()
		if n := gone.Load(); n != each*int64(len(beginnings)) {
			t.Errorf("%d are gone", n)
		}
	})
}

// dribble begins a request and goes on with a byte a second until the server hangs up.
func dribble(ctx context.Context, t *testing.T, dial dialer, beginning string) {
	c, err := dial(ctx, "tcp", "gate")
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}()
	text := []byte(beginning)
	for {
		if _, err := c.Write(text); err != nil {
			if !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			<-closed
			return
		}
		text = []byte("a")
		time.Sleep(time.Second)
	}
}
