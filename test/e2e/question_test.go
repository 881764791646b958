package e2e

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/peer"
)

var nameSchema = map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}

// askingServer runs a go-sdk server of one era whose tool "greet" asks its client for
// a name, for its roots and for a sample, and answers with all of them.
func askingServer(t *testing.T, modern bool) string {
	t.Helper()
	server := gosdk.NewServer(&gosdk.Implementation{Name: "asker", Version: "1"}, nil)
	greet := greetAsking
	if modern {
		greet = greetByInput
	}
	server.AddTool(&gosdk.Tool{Name: "greet", InputSchema: map[string]any{"type": "object"}}, greet)
	handler := gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return server }, &gosdk.StreamableHTTPOptions{Stateless: modern})
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func said(name any, roots []*gosdk.Root, content gosdk.Content) *gosdk.CallToolResult {
	text := fmt.Sprintf("name=%v roots=%s sample=%s", name, roots[0].URI, content.(*gosdk.TextContent).Text)
	return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: text}}}
}

var samplingParams = gosdk.CreateMessageParams{
	MaxTokens: 9, Messages: []*gosdk.SamplingMessage{{Role: "user", Content: &gosdk.TextContent{Text: "say"}}},
}

// greetAsking asks in the legacy way.
func greetAsking(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
	elicited, err := req.Session.Elicit(ctx, &gosdk.ElicitParams{Message: "name?", RequestedSchema: nameSchema})
	if err != nil {
		return nil, err
	}
	roots, err := req.Session.ListRoots(ctx, nil)
	if err != nil {
		return nil, err
	}
	params := samplingParams
	sample, err := req.Session.CreateMessage(ctx, &params)
	if err != nil {
		return nil, err
	}
	return said(elicited.Content["name"], roots.Roots, sample.Content), nil
}

// greetByInput asks in the modern way.
func greetByInput(_ context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
	if req.Params.RequestState == "" {
		params := samplingParams
		return &gosdk.CallToolResult{RequestState: "round 1", InputRequests: gosdk.InputRequestMap{
			"who":    &gosdk.ElicitParams{Message: "name?", RequestedSchema: nameSchema},
			"where":  &gosdk.ListRootsParams{},
			"sample": &params,
		}}, nil
	}
	if req.Params.RequestState != "round 1" {
		return nil, fmt.Errorf("foreign state %q", req.Params.RequestState)
	}
	answers := req.Params.InputResponses
	content := answers["sample"].(*gosdk.CreateMessageWithToolsResult).Content[0]
	return said(answers["who"].(*gosdk.ElicitResult).Content["name"], answers["where"].(*gosdk.ListRootsResult).Roots, content), nil
}

// askedClient connects a go-sdk client that answers every question with its own name.
func askedClient(t *testing.T, url, revision, name string) *gosdk.ClientSession {
	t.Helper()
	return clientThatHears(t, url, revision, name, func(string) {})
}

// clientThatHears is an askedClient that passes on what it is asked to fill in.
func clientThatHears(t *testing.T, url, revision, name string, hear func(message string)) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{
		ElicitationHandler: func(_ context.Context, req *gosdk.ElicitRequest) (*gosdk.ElicitResult, error) {
			hear(req.Params.Message)
			return &gosdk.ElicitResult{Action: "accept", Content: map[string]any{"name": name}}, nil
		},
		CreateMessageHandler: func(context.Context, *gosdk.CreateMessageRequest) (*gosdk.CreateMessageResult, error) {
			return &gosdk.CreateMessageResult{Role: "assistant", Model: "m", Content: &gosdk.TextContent{Text: "sample of " + name}}, nil
		},
	})
	c.AddRoots(&gosdk.Root{URI: "file:///" + name})
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: url}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestQuestionsReachTheirClientInAllPairings(t *testing.T) {
	t.Parallel()
	// The modern one serves legacy clients too, but without sessions, in which it could not ask: it is spoken to in its own era.
	g := startGateway(t, "upstreams:\n"+httpUpstream("old", askingServer(t, false))+httpUpstream("new", askingServer(t, true)))
	for _, upstream := range []string{"old", "new"} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			t.Run(revision+" to "+upstream, func(t *testing.T) {
				t.Parallel()
				var all sync.WaitGroup
				for i := range 8 {
					name := fmt.Sprintf("%s-%s-%d", upstream, revision, i)
					s := askedClient(t, endpoint(g, "/mcp"), revision, name)
					all.Go(func() {
						for range 5 {
							res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: upstream + "__greet"})
							if err != nil {
								t.Errorf("%s: %v", name, err)
								return
							}
							want := fmt.Sprintf("name=%s roots=file:///%s sample=sample of %s", name, name, name)
							if got := jsonOf(t, res); !strings.Contains(got, want) {
								t.Errorf("%s: got %s", name, got)
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}

// Users take their time: what they take does not count against the time that a server may take, in no pairing.
func TestCorner5_20_UsersMayTakeTheirTimeInAllPairings(t *testing.T) {
	t.Parallel()
	const patience = 500 * time.Millisecond
	g := startGateway(t, fmt.Sprintf("upstreams:\n  old: {url: %q, era: legacy, timeout: %v}\n  new: {url: %q, era: modern, timeout: %[2]v}\n",
		askingServer(t, false), patience, askingServer(t, true)))
	for _, upstream := range []string{"old", "new"} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			t.Run(revision+" to "+upstream, func(t *testing.T) {
				t.Parallel()
				s := clientThatHears(t, endpoint(g, "/mcp"), revision, "ada", func(string) { time.Sleep(3 * patience) })
				res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: upstream + "__greet"})
				if err != nil {
					t.Fatal(err)
				}
				if got := jsonOf(t, res); !strings.Contains(got, "name=ada") {
					t.Errorf("got %s", got)
				}
			})
		}
	}
}

// A user who is asked through the merged endpoint reads by whom, in every pairing.
func TestCorner5_27_UsersReadWhoAsksInAllPairings(t *testing.T) {
	t.Parallel()
	g := startGateway(t, fmt.Sprintf("upstreams:\n  old: {url: %q, era: legacy, display_name: The Archive}\n  new: {url: %q, era: modern}\n",
		askingServer(t, false), askingServer(t, true)))
	for upstream, title := range map[string]string{"old": "[The Archive] name?", "new": "[new] name?"} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			for path, tool := range map[string]string{"/mcp": upstream + "__greet", "/mcp/" + upstream: "greet"} {
				t.Run(revision+" to "+path+" "+tool, func(t *testing.T) {
					t.Parallel()
					heard := make(chan string, 1)
					s := clientThatHears(t, endpoint(g, path), revision, "ada", func(message string) { heard <- message })
					if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: tool}); err != nil {
						t.Fatal(err)
					}
					want := title
					if path != "/mcp" {
						want = "name?"
					}
					if got := <-heard; got != want {
						t.Errorf("the user reads %q, want %q", got, want)
					}
				})
			}
		}
	}
}

// quietLog is a log that can be read while it is written.
type quietLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *quietLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// What users answer is theirs: the log does not have it, in no pairing, whatever is logged, and even where the answer
// comes too late.
func TestCorner5_27_AnswersAreNotLogged(t *testing.T) {
	t.Parallel()
	const secret = "xyzzy-plugh"
	log := &quietLog{}
	g := startGatewayWith(t, "upstreams:\n"+httpUpstream("old", askingServer(t, false))+httpUpstream("new", askingServer(t, true)),
		slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, upstream := range []string{"old", "new"} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			s := askedClient(t, endpoint(g, "/mcp"), revision, secret)
			res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: upstream + "__greet"})
			if err != nil || !strings.Contains(jsonOf(t, res), secret) {
				t.Errorf("%s to %s: %v", revision, upstream, err)
			}
		}
	}
	legacy(t, endpoint(g, "/mcp"), "{}").post(`{"jsonrpc":"2.0","id":99,"result":{"action":"accept","content":{"name":"`+secret+`"}}}`, nil)
	log.mu.Lock()
	defer log.mu.Unlock()
	if !strings.Contains(log.text.String(), "answer to no question") {
		t.Error("the late answer was not noticed")
	}
	if strings.Contains(log.text.String(), secret) {
		t.Errorf("logged: %s", log.text.String())
	}
}

func TestAStdioServerAsksAModernClient(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "upstreams:\n"+stdioUpstream("everything", peer.Command(t, peer.ServerEverything)))
	s := askedClient(t, endpoint(g, "/mcp"), "2026-07-28", "ada")
	res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "everything__trigger-elicitation-request"})
	if err != nil {
		t.Fatal(err)
	}
	if got := jsonOf(t, res); !strings.Contains(got, "ada") {
		t.Errorf("got %s", got)
	}
}
