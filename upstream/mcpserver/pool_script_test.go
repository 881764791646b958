package mcpserver

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// serveHTTP is a process of the official SDK's that serves Streamable HTTP and says where.
func serveHTTP(stateless bool) {
	s := sdkServer()
	pid := strconv.Itoa(os.Getpid())
	sdk.AddTool(s, &sdk.Tool{Name: "pid"}, func(_ context.Context, r *sdk.CallToolRequest, _ echoArguments) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "pid " + pid + " session " + r.Session.ID()}}}, nil, nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String() + "/mcp")
	h := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: stateless})
	_ = http.Serve(l, h)
}

// killable is a server that can be killed.
type killable struct {
	url string
	cmd *exec.Cmd
}

// startProcesses runs servers until the end of the test.
func startProcesses(t *testing.T, script string, n int) (all []*killable) {
	t.Helper()
	for range n {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), scriptVariable+"="+script, "GORACE=atexit_sleep_ms=0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &killable{strings.TrimSpace(line), cmd})
	}
	return all
}

// kill ends the process as kill -9 does.
func (p *killable) kill() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() }

// poolOf is the configuration of an upstream with several backends.
func poolOf(urls ...string) config.Upstream {
	cfg := config.Upstream{Name: "files", Era: "auto", Timeout: 20 * time.Second}
	for _, u := range urls {
		cfg.Backends = append(cfg.Backends, config.Backend{URL: u, Weight: 1})
	}
	return cfg
}

func urlsOf(all []*killable) (urls []string) {
	for _, p := range all {
		urls = append(urls, p.url)
	}
	return urls
}

// openPool makes a pool that is closed at the end of the test.
func openPool(t *testing.T, cfg config.Upstream) *Pool {
	t.Helper()
	client := upstream.NewClient(upstream.ClientConfig{})
	p, err := NewPool(cfg, Deps{
		Log: slog.New(slog.DiscardHandler), HTTP: client, Identity: Identity{Name: "headgate", Version: "test"}, Environ: os.Environ(),
	}, nil)
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

// textIn returns the text of a tool's result.
func textIn(a answer) string {
	text := textOf(a.response)
	_, text, _ = strings.Cut(text, `"text":"`)
	text, _, _ = strings.Cut(text, `"`)
	return text
}

// servedBy calls the tool that says which process serves it, and in which session.
func servedBy(t *testing.T, p *Pool, c rpc.Client) string {
	t.Helper()
	text := toolCall("1", "pid", `{"text":""}`)
	if c.Era == rpc.Modern {
		text = modernToolCall("1", "pid", `{"text":""}`)
	}
	a := mustRun(t, p, newCall(t, c, text))
	if a.response.Err != nil {
		t.Fatalf("%s", textOf(a.response))
	}
	if !strings.HasPrefix(textIn(a), "pid ") {
		t.Fatalf("%s", textOf(a.response))
	}
	return textIn(a)
}

// hang makes a call that is answered with its cancellation only, and waits until it runs.
func hang(t *testing.T, p *Pool, c rpc.Client) (end func()) {
	t.Helper()
	text := toolCall("1", "hang", `{"text":""}`)
	if c.Era == rpc.Modern {
		text = modernToolCall("1", "hang", `{"text":""}`)
	}
	ctx, cancel := context.WithCancel(t.Context())
	before := flying(p)
	done := make(chan struct{})
	call := newCall(t, c, text)
	go func() {
		defer close(done)
		_, _ = run(ctx, p, call)
	}()
	eventually(t, "it runs", func() bool { return flying(p) > before })
	return func() { cancel(); <-done }
}

func flying(p *Pool) (n int) {
	for _, b := range p.Backends() {
		n += b.InFlight
	}
	return n
}
