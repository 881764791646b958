package mcpserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake"
)

// scripts are the servers that this test binary can be when it is run as a child
// process. Each serves its standard input until that ends.
var scripts = map[string]func(){
	"sdk":           serveSDK,
	"fake-legacy":   func() { serveFake(fake.Legacy) },
	"fake-modern":   func() { serveFake(fake.Modern) },
	"fake-both":     func() { serveFake(fake.Legacy | fake.Modern) },
	"legacy":        func() { serveLegacy(nil) },
	"garbage":       func() { serveLegacy(withGarbage) },
	"silent":        func() { serveLegacy(silentOnDiscover) },
	"fragile":       func() { serveLegacy(diesOnDiscover) },
	"stubborn":      serveStubborn,
	"family":        serveFamily,
	"gateway":       beGateway,
	"crashing":      serveCrashing,
	"deaf":          serveDeaf,
	"mute":          serveNothing,
	"drowsy":        func() { time.Sleep(probeTimeout + time.Second); serveFake(fake.Modern) },
	"drowsy-sdk":    func() { time.Sleep(probeTimeout + time.Second); serveSDK() },
	"modern-junk":   serveModernJunk,
	"sdk-sessions":  func() { serveHTTP(false) },
	"sdk-stateless": func() { serveHTTP(true) },
	"inner-output":  func() { serveLegacy(withQuestions) },
	"batching":      func() { serveLegacy(withBatches) },
}

// request is a line as a scripted server reads it.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	line   []byte
}

func (r *request) params() (p struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	Meta      struct {
		Token json.RawMessage `json:"progressToken"`
	} `json:"_meta"`
	RequestID json.RawMessage `json:"requestId"`
},
) {
	_ = json.Unmarshal(r.Params, &p)
	return p
}

// peer is a scripted server's standard output, and what it has heard.
type peer struct {
	mu        sync.Mutex
	cancelled []string
	answers   chan *request
}

func (p *peer) write(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

func (p *peer) result(r *request, result string) {
	p.write(`{"jsonrpc":"2.0","id":%s,"result":%s}`, r.ID, result)
}

func (p *peer) fail(r *request, code int, message string) {
	p.write(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, r.ID, code, message)
}

// requests reads the standard input to its end.
func requests(visit func(r *request)) {
	in := bufio.NewReaderSize(os.Stdin, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		r := &request{line: line}
		if json.Unmarshal(line, r) == nil {
			visit(r)
		}
	}
}

// serveLegacy is a legacy server with many tools. The override sees each message
// first and reports whether it dealt with it.
func serveLegacy(override func(p *peer, r *request) bool) {
	p := &peer{answers: make(chan *request, 16)}
	var running sync.WaitGroup
	requests(func(r *request) {
		if override != nil && override(p, r) {
			return
		}
		switch r.Method {
		case "":
			p.answers <- r
		case "initialize":
			p.result(r, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"scripted","version":"1"},"instructions":"be kind"}`)
		case "tools/call":
			running.Go(func() { p.callTool(r) })
		case "notifications/cancelled":
			p.mu.Lock()
			p.cancelled = append(p.cancelled, string(r.params().RequestID))
			p.mu.Unlock()
		case "notifications/initialized":
		default:
			p.fail(r, -32601, "Method not found")
		}
	})
	running.Wait()
}

// callTool runs one of the tools of serveLegacy.
func (p *peer) callTool(r *request) {
	params := r.params()
	switch params.Name {
	case "raw": // answers with its arguments as the result
		p.result(r, string(params.Arguments))
	case "line": // what arrived, as a JSON string
		text, _ := json.Marshal(strings.TrimSpace(string(r.line)))
		p.result(r, `{"line":`+string(text)+`}`)
	case "slow-echo":
		time.Sleep(rand.N(2 * time.Millisecond))
		p.result(r, string(params.Arguments))
	case "string-id":
		p.write(`{"jsonrpc":"2.0","id":"%s","result":{"ok":true}}`, r.ID)
	case "float-id":
		p.write(`{"jsonrpc":"2.0","id":%s.0,"result":{"ok":true}}`, r.ID)
	case "twice":
		p.result(r, `{"n":1}`)
		p.result(r, `{"n":2}`)
	case "foreign-id":
		p.write(`{"jsonrpc":"2.0","id":999999,"result":{"foreign":true}}`)
		p.result(r, `{"ok":true}`)
	case "progress":
		for i := 1; i <= 3; i++ {
			p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"message":"step"}}`, params.Meta.Token, i)
		}
		p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"unknown","progress":9}}`)
		p.result(r, `{"ok":true}`)
		p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":4}}`, params.Meta.Token)
	case "flood": // more progress than can wait
		for i := range 4 * maxWaiting {
			p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, params.Meta.Token, i+1)
		}
		p.result(r, `{"ok":true}`)
	case "steady": // progress every 100 ms, ten times
		for i := range 10 {
			time.Sleep(100 * time.Millisecond)
			p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, params.Meta.Token, i+1)
		}
		p.result(r, `{"ok":true}`)
	case "endless": // progress without a pause, until nobody listens
		for i := 0; ; i++ {
			p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, params.Meta.Token, i+1)
		}
	case "big":
		n, _ := strconv.Atoi(string(params.Arguments))
		p.result(r, `{"text":"`+strings.Repeat("x", n)+`"}`)
	case "id-last":
		n, _ := strconv.Atoi(string(params.Arguments))
		p.write(`{"result":{"text":"%s"},"jsonrpc":"2.0","id":%s}`, strings.Repeat("x", n), r.ID)
	case "damaged":
		p.write(`{"jsonrpc":"2.0","id":%s,"result":{"text":"%s"}}`, r.ID, "\xff\xfe")
	case "hang":
	case "cancelled": // which requests were cancelled so far
		p.mu.Lock()
		ids := strings.Join(p.cancelled, ",")
		p.mu.Unlock()
		p.result(r, `{"ids":"`+ids+`"}`)
	case "late": // answers what was cancelled, then this
		p.mu.Lock()
		ids := p.cancelled
		p.mu.Unlock()
		for _, id := range ids {
			p.write(`{"jsonrpc":"2.0","id":%s,"result":{"late":true}}`, id)
		}
		p.result(r, `{"ok":true}`)
	case "changed":
		p.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		p.result(r, `{"ok":true}`)
	case "log":
		p.write(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"n":1.0}}}`)
		p.result(r, `{"ok":true}`)
	case "log-after": // logs when the call is over
		p.result(r, `{"ok":true}`)
		p.write(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","logger":"db","data":%d}}`, os.Getpid())
	case "pieces": // answers little by little
		for _, piece := range []string{`{"jsonrpc":"2.0",`, `"id":` + string(r.ID), `,"result":{"te`, `xt":"a`, "\xc3", "\xa4", `"}}`, "\n"} {
			fmt.Fprint(os.Stdout, piece)
			time.Sleep(time.Millisecond)
		}
	case "loud": // fills its standard error, and answers
		for range 1 << 10 {
			fmt.Fprintln(os.Stderr, strings.Repeat("e", 1<<10))
		}
		p.result(r, `{"ok":true}`)
	case "where":
		dir, _ := os.Getwd()
		text, _ := json.Marshal(dir)
		p.result(r, `{"dir":`+string(text)+`}`)
	case "ping":
		p.ask(r, `{"jsonrpc":"2.0","id":"ping-1","method":"ping"}`)
	case "elicit":
		p.ask(r, `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}`)
	case "elicit-briefly": // takes back what it asked, and what it did not
		p.write(`{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}`)
		for _, id := range []string{`"other"`, `null`, `"q1"`, `"q1"`} {
			p.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s,"reason":"slow"}}`, id)
		}
		p.result(r, `{"ok":true}`)
	case "sample":
		p.ask(r, `{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`)
	case "pid":
		p.result(r, fmt.Sprintf(`{"pid":%d}`, os.Getpid()))
	case "environment":
		text, _ := json.Marshal(os.Environ())
		args, _ := json.Marshal(os.Args[1:])
		p.result(r, `{"env":`+string(text)+`,"args":`+string(args)+`}`)
	case "die":
		fmt.Fprintf(os.Stderr, "first words\n\x1b[31mlast words\x1b[0m and the token %s\n", os.Getenv("SECRET_TOKEN"))
		os.Exit(3)
	case "error":
		p.write(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such tool","data":{"big":12345678901234567890,"b":1,"a":2}}}`, r.ID)
	case "nameless-error":
		p.write(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"cannot read that"}}`)
	default:
		p.fail(r, -32602, "unknown tool")
	}
}

// ask sends a question and answers the call with the answer to it.
func (p *peer) ask(r *request, question string) {
	p.write("%s", question)
	a := <-p.answers
	text, _ := json.Marshal(strings.TrimSpace(string(a.line)))
	p.result(r, `{"answer":`+string(text)+`}`)
}

// withGarbage prints around each message what is none.
func withGarbage(p *peer, r *request) bool {
	p.write("Server listening on port 3000")
	p.write(`{"level":"info","id":1,"msg":"got %s"}`, r.Method)
	p.write("")
	p.write("\xff\xfe\x00")
	p.write(`[{"jsonrpc":"2.0"}]`)
	p.write(`{"jsonrpc":"2.0","id":1,"result"`)
	return false
}

// withBatches answers calls in arrays, as MCP 2025-03-26 allows.
func withBatches(p *peer, r *request) bool {
	switch r.Method {
	case "initialize":
		p.result(r, `{"protocolVersion":"2025-03-26","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"batching","version":"1"}}`)
	case "tools/call":
		p.write(`[{"jsonrpc":"2.0","method":"notifications/tools/list_changed"},{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}},{"jsonrpc":"2.0","id":%s,"result":{"n":1.0}}]`, r.ID)
	default:
		return false
	}
	return true
}

func silentOnDiscover(_ *peer, r *request) bool { return r.Method == "server/discover" }

func diesOnDiscover(_ *peer, r *request) bool {
	if r.Method == "server/discover" {
		fmt.Fprintln(os.Stderr, "panic: unexpected request before initialize")
		os.Exit(2)
	}
	return false
}

// withQuestions asks for the roots as soon as it may.
func withQuestions(p *peer, r *request) bool {
	if r.Method == "notifications/initialized" {
		p.write(`{"jsonrpc":"2.0","id":"roots-1","method":"roots/list"}`)
	}
	return false
}

// serveStubborn ignores that its input ends, and SIGTERM.
func serveStubborn() {
	signal.Ignore(syscall.SIGTERM)
	serveLegacy(nil)
	time.Sleep(time.Hour)
}

// beGateway has a stubborn server as its child, says which process that is, and stays.
func beGateway() {
	cfg := scripted("stubborn")
	cfg.Era = "legacy"
	s, err := New(cfg, Deps{Log: discardLog, Environ: os.Environ()})
	if err != nil {
		os.Exit(8)
	}
	m := rpc.NewRequest(rpc.NumberID(1), "tools/call", []byte(`{"name":"pid"}`))
	a, err := run(context.Background(), s, &rpc.Call{Message: m, Method: &rpc.Method{}})
	if err != nil {
		os.Exit(7)
	}
	fmt.Println(string(a.response.Result))
	time.Sleep(time.Hour)
}

// serveFamily starts a process of its own and says which.
func serveFamily() {
	child := exec.CommandContext(context.Background(), "sleep", "3600")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr // it holds the pipes open
	if err := child.Start(); err != nil {
		os.Exit(9)
	}
	serveLegacy(func(p *peer, r *request) bool {
		if r.Method != "tools/call" || r.params().Name != "child" {
			return false
		}
		p.result(r, fmt.Sprintf(`{"pid":%d}`, child.Process.Pid))
		return true
	})
}

// serveCrashing cannot start.
func serveCrashing() {
	fmt.Fprintln(os.Stderr, "Error: Cannot find module 'server'")
	os.Exit(1)
}

// serveDeaf shakes hands and then reads nothing.
func serveDeaf() {
	p := &peer{}
	requests(func(r *request) {
		switch r.Method {
		case "initialize":
			p.result(r, `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"deaf","version":"1"}}`)
		case "notifications/initialized":
			time.Sleep(time.Hour)
		default:
			p.fail(r, -32601, "Method not found")
		}
	})
}

// serveNothing says that it runs and nothing else.
func serveNothing() {
	fmt.Fprintln(os.Stderr, "here I am")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// serveModernJunk is a modern server that breaks the rules.
func serveModernJunk() {
	p := &peer{}
	requests(func(r *request) {
		switch r.Method {
		case "server/discover":
			p.result(r, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":5000,"cacheScope":"public","instructions":"hi","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"junk","version":"2"}}}`)
		case "tools/call":
			p.write(`{"jsonrpc":"2.0","id":77,"method":"roots/list"}`)
			p.result(r, `{"resultType":"complete","content":[]}`)
		}
	})
}

// serveSDK is a server of the official SDK.
func serveSDK() {
	_ = sdkServer().Run(context.Background(), &sdk.StdioTransport{})
}

type echoArguments struct {
	Text string `json:"text"`
}

// sdkServer returns a server of the official SDK with tools that echo, report
// progress, ask and wait.
func sdkServer() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "sdk", Version: "1"}, &sdk.ServerOptions{Instructions: "from the sdk"})
	sdk.AddTool(s, &sdk.Tool{Name: "echo"}, func(_ context.Context, _ *sdk.CallToolRequest, in echoArguments) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: in.Text}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "progress"}, func(ctx context.Context, r *sdk.CallToolRequest, _ echoArguments) (*sdk.CallToolResult, any, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			for i := range 3 {
				if err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1)}); err != nil {
					return nil, nil, err
				}
			}
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "elicit"}, func(ctx context.Context, r *sdk.CallToolRequest, _ echoArguments) (*sdk.CallToolResult, any, error) {
		a, err := r.Session.Elicit(ctx, &sdk.ElicitParams{Message: "who?"})
		if err != nil {
			return nil, nil, err
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: a.Action}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "hang"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ echoArguments) (*sdk.CallToolResult, any, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	return s
}

func serveFake(eras fake.Era) {
	s := fake.New(fake.Config{Eras: eras, Tools: []fake.Tool{
		{Name: "echo", Behaviour: fake.Echo},
		{Name: "progress", Behaviour: fake.Progressing(3, 0, fake.Echo)},
		{Name: "hang", Behaviour: fake.Hang},
	}})
	defer s.Close()
	if err := s.ServeStdio(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
