package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// dying answers each call the first time that it comes to one of the servers with so many bytes as its tool is called, and
// then closes the connection; from the second time on with all.
type dying struct {
	answer func(id, token string) string

	mu   sync.Mutex
	came map[string]int // calls, by tool
}

var cutAt = regexp.MustCompile(`"name":"(cut-(\d+)-\w+)"`)

func (d *dying) ServeHTTP(w http.ResponseWriter, r received) {
	found := cutAt.FindStringSubmatch(r.body)
	d.mu.Lock()
	d.came[found[1]]++
	first := d.came[found[1]] == 1
	d.mu.Unlock()
	text := d.answer(r.id, r.token)
	if cut, _ := strconv.Atoi(found[2]); first && cut < len(text) {
		text = text[:cut]
	}
	hangUp(w, text)
}

func (d *dying) times(tool string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.came[tool]
}

// newRetriedPool makes an upstream of two servers that both answer as told.
func newRetriedPool(t *testing.T, d *dying) *Pool {
	t.Helper()
	client := upstream.NewClient(upstream.ClientConfig{})
	a := remote(t, &script{discover: discovered, answer: d.ServeHTTP})
	b := remote(t, &script{discover: discovered, answer: d.ServeHTTP})
	cfg := config.Upstream{
		Name: "files", Era: "modern", Timeout: 20 * time.Second, Breaker: &config.Breaker{OpenFor: time.Second},
		Backends: []config.Backend{{URL: a.URL, Weight: 1}, {URL: b.URL, Weight: 1}},
	}
	p, err := NewPool(cfg, Deps{Log: slog.New(slog.DiscardHandler), HTTP: client, Identity: Identity{Name: "headgate", Version: "test"}},
		upstream.NewRetries(config.Retry{Attempts: 3, Budget: 100}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		client.CloseIdle()
	})
	return p
}

// lengthOf returns how long an answer is where the id has few digits.
func lengthOf(d *dying) int { return len(d.answer("1", "1")) }

// A server dies at each byte of its answer. A call that may run twice is answered by the other one, unless its client has
// seen something of it; one that may not is made once, whatever was seen. Whole answers say that the connection closes after them:
// if they did not, the next call could leave on it just before it is closed, and be an attempt that no server counted.
func TestServersThatDieAtEachByte(t *testing.T) {
	t.Parallel()
	answers := map[string]func(id, token string) string{
		"JSON": func(id, _ string) string {
			body := result(id, `{"resultType":"complete","content":[]}`)
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
		"events": func(id, token string) string {
			return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n" +
				event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+token+`,"progress":1}}`) +
				event(result(id, `{"resultType":"complete","content":[]}`))
		},
	}
	for name, text := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &dying{answer: text, came: map[string]int{}}
			p := newRetriedPool(t, d)
			todo := make(chan int)
			var workers sync.WaitGroup
			for range 4 { // of whom each may need one retry at a time, which the budget has
				workers.Go(func() {
					for at := range todo {
						dieAt(t, p, d, at, false)
						dieAt(t, p, d, at, true)
					}
				})
			}
			for at := range lengthOf(d) {
				todo <- at
			}
			close(todo)
			workers.Wait()
		})
	}
}

// dieAt makes a call whose answer breaks off.
func dieAt(t *testing.T, p *Pool, d *dying, at int, twice bool) {
	tool := fmt.Sprintf("cut-%d-%t", at, twice)
	c := newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{},"_meta":{"progressToken":7,`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`)
	c.Target.Idempotent = twice
	var seen, responses int
	reply, err := p.Handle(t.Context(), c)
	for err == nil {
		var m *rpc.Message
		if m, err = reply.Next(); err != nil {
			break
		}
		seen++
		if m.IsResponse() {
			responses++
			break
		}
	}
	if reply != nil {
		_ = reply.Close()
	}
	n := d.times(tool)
	switch e, _ := errors.AsType[*rpc.Error](err); {
	case err == nil && responses == 1 && n <= 2 && (twice || n == 1):
	case err != nil && e != nil && !e.NotRun && n == 1 && (!twice || seen > 0):
	default:
		t.Errorf("%s: %d messages, %d responses, made %d times: %v", tool, seen, responses, n, err)
	}
	if got := c.Record.Attempts(); got != n {
		t.Errorf("%s: the record has %d attempts of %d", tool, got, n)
	}
}
