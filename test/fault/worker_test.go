package fault

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/rawjson"
)

// The worker is an upstream whose tool "work" takes as long as its caller says, reports progress, can ask for something,
// and writes down when it began and how it ended. A legacy one is a go-sdk server, which can ask in mid-call; a modern one is
// a fake, which is cancelled as soon as its client goes away.

// task is the arguments of one call.
type task struct {
	Nonce string `json:"nonce"`
	MS    int    `json:"ms"`
	Ask   bool   `json:"ask,omitempty"`
}

// What a worker writes down.
const (
	begun     = "begun"
	asking    = "asking"
	cancelled = "cancelled"
	finished  = "finished"
)

// diary is where workers write down what became of calls, one line for each event. A child process has one of its own.
type diary struct {
	mu   sync.Mutex
	file *os.File
}

func openDiary(path string) (*diary, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &diary{file: file}, nil
}

func (d *diary) note(nonce, event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.file, "%s %s %d\n", nonce, event, time.Now().UnixNano())
}

// readDiary returns when each event of each call happened.
func readDiary(path string) (map[string]map[string]time.Time, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]time.Time{}
	for line := range strings.Lines(string(text)) {
		parts := strings.Fields(line)
		at, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
		if len(parts) != 3 || err != nil {
			return nil, fmt.Errorf("the diary has a line %q", line)
		}
		if out[parts[0]] == nil {
			out[parts[0]] = map[string]time.Time{}
		}
		out[parts[0]][parts[1]] = time.Unix(0, at)
	}
	return out, nil
}

// work does a task, reporting progress all the while.
func (d *diary) work(ctx context.Context, t task, progress func(done float64)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(time.Duration(t.MS) * time.Millisecond)
	defer end.Stop()
	for done := 1.0; ; done++ {
		select {
		case <-tick.C:
			progress(done)
		case <-end.C:
			d.note(t.Nonce, finished)
			return nil
		case <-ctx.Done():
			d.note(t.Nonce, cancelled)
			return ctx.Err()
		}
	}
}

// legacyWorker is a go-sdk server.
func legacyWorker(d *diary) *gosdk.Server {
	server := gosdk.NewServer(&gosdk.Implementation{Name: "worker", Version: "1"}, nil)
	server.AddTool(&gosdk.Tool{Name: "work", InputSchema: map[string]any{"type": "object"}},
		func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			var t task
			if err := json.Unmarshal(req.Params.Arguments, &t); err != nil {
				return nil, err
			}
			d.note(t.Nonce, begun)
			if t.Ask {
				d.note(t.Nonce, asking)
				_, err := req.Session.Elicit(ctx, &gosdk.ElicitParams{Message: "asked by " + t.Nonce, RequestedSchema: map[string]any{
					"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
				}})
				if err != nil && ctx.Err() == nil {
					d.note(t.Nonce, finished)
					return nil, err
				}
			}
			err := d.work(ctx, t, func(done float64) {
				if token := req.Params.GetProgressToken(); token != nil {
					_ = req.Session.NotifyProgress(ctx, &gosdk.ProgressNotificationParams{ProgressToken: token, Progress: done})
				}
			})
			if err != nil {
				return nil, err
			}
			return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: "ok " + t.Nonce}}}, nil
		})
	return server
}

// modernWorker is a fake server. What it asks for it asks before it begins.
func modernWorker(d *diary) *fake.Server {
	return fake.New(fake.Config{Name: "worker", Eras: fake.Modern, TTL: time.Hour, Tools: []fake.Tool{{
		Name: "work", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
			var t task
			if err := json.Unmarshal(c.Arguments, &t); err != nil {
				return nil, err
			}
			if t.Ask && rawjson.Member(c.Params, "requestState") == nil {
				return []byte(`{"resultType":"input_required","requestState":"s","inputRequests":{"q":{"method":"elicitation/create",` +
					`"params":{"message":"asked by ` + t.Nonce + `","requestedSchema":{"type":"object","properties":{}}}}}}`), nil
			}
			d.note(t.Nonce, begun)
			if err := d.work(ctx, t, func(done float64) { _ = c.Progress(done, 0) }); err != nil {
				return nil, err
			}
			return fmt.Appendf(nil, `{"resultType":"complete","content":[{"type":"text","text":"ok %s"}]}`, t.Nonce), nil
		},
	}}})
}

// actWorker is a worker on stdio.
func actWorker(era, path string) int {
	d, err := openDiary(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if era == "modern" {
		err = modernWorker(d).ServeStdio(context.Background(), os.Stdin, os.Stdout)
	} else {
		err = legacyWorker(d).Run(context.Background(), &gosdk.StdioTransport{})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startWorker returns the configuration of a worker named "worker", and the path of its diary.
func startWorker(t *testing.T, on way) (entry, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "diary")
	d, err := openDiary(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.file.Close() })
	era := "legacy"
	if on.modern() {
		era = "modern"
	}
	if on.stdio() {
		return upstreamEntry("worker", era, "", self("worker", era, path)), path
	}
	var handler http.Handler
	if on.modern() {
		handler = modernWorker(d)
	} else {
		server := legacyWorker(d)
		handler = gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return server }, nil)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return upstreamEntry("worker", era, web.URL, nil), path
}
