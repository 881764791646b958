package fault

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// actAsker is a legacy server on stdio, made with go-sdk. Its tool "ask" asks its client for a name and for a sample, each
// with the caller's nonce, and answers with what it was told. It is sure who it was called by, because the nonce is in the
// arguments; it is not sure who answers.
func actAsker() int {
	server := gosdk.NewServer(&gosdk.Implementation{Name: "asker", Version: "1"}, nil)
	server.AddTool(&gosdk.Tool{Name: "ask", InputSchema: map[string]any{"type": "object"}}, askTwice)
	if err := server.Run(context.Background(), &gosdk.StdioTransport{}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func askTwice(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
	var arguments struct{ Nonce string }
	if err := json.Unmarshal(req.Params.Arguments, &arguments); err != nil {
		return nil, err
	}
	elicited, err := req.Session.Elicit(ctx, &gosdk.ElicitParams{Message: "name of " + arguments.Nonce, RequestedSchema: map[string]any{
		"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
	}})
	if err != nil {
		return nil, err
	}
	sample, err := req.Session.CreateMessage(ctx, &gosdk.CreateMessageParams{MaxTokens: 9, Messages: []*gosdk.SamplingMessage{
		{Role: "user", Content: &gosdk.TextContent{Text: "sample of " + arguments.Nonce}},
	}})
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s|%v|%s", arguments.Nonce, elicited.Content["name"], sample.Content.(*gosdk.TextContent).Text)
	return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: text}}}, nil
}

// TestT25_AskedAtOnce lets callers be asked at once by one legacy server on stdio, where a question does not say which
// call it belongs to. Nobody may be asked what another's call asks, and no answer may reach another's call.
//
// The callers are two principals, each with a legacy and with a modern client.
func TestT25_AskedAtOnce(t *testing.T) {
	leakless(t)
	rounds := times(300, 10_000)
	row := &Row{
		ID: "T25", What: "Callers asked at once by one legacy server on stdio: never a question or an answer of another's",
		Count: fmt.Sprintf("%d rounds: 2 principals, each with a legacy and a modern client, all elicited and sampled with their nonces", rounds),
	}
	enter(t, row)
	keys := []string{"a-key-of-the-first-0123456789", "a-key-of-the-second-0123456789"}
	g := startGateway(t, fmt.Sprintf("auth: {keys: [{id: first, key: %s, scopes: ['mcp:*']}, {id: second, key: %s, scopes: ['mcp:*']}]}\n", keys[0], keys[1])+
		"upstreams:\n"+upstreamEntry("asker", "legacy", "", self("asker")))
	var asked, wrong atomic.Int64
	var all sync.WaitGroup
	for i, modern := range []bool{false, true, false, true} {
		c := newBearer(t, "http://"+g.Addr()+"/mcp", modern, `{"elicitation":{"form":{}},"sampling":{}}`, keys[i/2])
		a := &answerer{client: c, asked: &asked, wrong: &wrong}
		all.Go(func() {
			for n := i; n < rounds && wrong.Load() < 5 && !t.Failed(); n += 4 {
				a.round(t, fmt.Sprintf("n%d-%d", i, n))
			}
		})
	}
	all.Wait()
	if want := int64(2 * rounds); asked.Load() != want || wrong.Load() != 0 {
		t.Errorf("%d questions of %d, %d wrong", asked.Load(), want, wrong.Load())
	}
	row.Figures = fmt.Sprintf("%d questions, %d wrong", asked.Load(), wrong.Load())
}

// answerer is a client that answers what it is asked, with the nonce of the call that it has in flight.
type answerer struct {
	*client
	asked, wrong *atomic.Int64
}

// round makes one call and answers its questions.
func (a *answerer) round(t *testing.T, nonce string) {
	arguments := fmt.Sprintf(`"arguments":{"nonce":%q}`, nonce)
	more := ""
	for range 4 {
		_, all, err := a.call(t.Context(), "asker__ask", strings.TrimSuffix(arguments+","+more, ","), "", func(m message) {
			if m.Method != "" && m.ID != nil {
				go a.tell(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, a.answer(t, m.Method, m.text, nonce)))
			}
		})
		if err != nil || len(all) == 0 {
			t.Errorf("%s: %v %v", nonce, texts(all), err)
			return
		}
		last := all[len(all)-1]
		state := stateOf(all)
		if state == "" {
			if want := nonce + "|" + nonce + "|" + nonce; !strings.Contains(last.text, `"`+want+`"`) {
				a.fail(t, nonce, last.text)
			}
			return
		}
		more = `"inputResponses":{` + a.responses(t, last, nonce) + `},"requestState":` + state
	}
	t.Errorf("%s: asked again and again", nonce)
}

// responses answers all that is asked of a modern client.
func (a *answerer) responses(t *testing.T, m message, nonce string) string {
	var result struct {
		InputRequests map[string]json.RawMessage `json:"inputRequests"`
	}
	if err := json.Unmarshal(m.Result, &result); err != nil {
		t.Error(err)
	}
	var out []string
	for key, text := range result.InputRequests {
		var q struct{ Method string }
		if err := json.Unmarshal(text, &q); err != nil {
			t.Error(err)
		}
		out = append(out, fmt.Sprintf("%q:%s", key, a.answer(t, q.Method, string(text), nonce)))
	}
	return strings.Join(out, ",")
}

// answer returns the result of a question, which must be about the nonce.
func (a *answerer) answer(t *testing.T, method, text, nonce string) string {
	a.asked.Add(1)
	if !strings.Contains(text, "of "+nonce+`"`) {
		a.fail(t, nonce, text)
	}
	if method == "elicitation/create" {
		return fmt.Sprintf(`{"action":"accept","content":{"name":%q}}`, nonce)
	}
	return fmt.Sprintf(`{"role":"assistant","model":"m","content":{"type":"text","text":%q}}`, nonce)
}

func (a *answerer) fail(t *testing.T, nonce, text string) {
	a.wrong.Add(1)
	t.Errorf("%s got %s", nonce, text)
}
