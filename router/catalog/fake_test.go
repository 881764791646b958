package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// lister is an upstream that answers tools/list with what the test sets.
type lister struct {
	mu      sync.Mutex
	desc    Description
	pages   []string          // results of tools/list, one a page
	others  map[string]string // results of further methods
	listed  func()            // called in each tools/list, if set
	spoken  rpc.Revision
	fail    error
	lists   int // how many first pages were asked for
	clients []rpc.Client
}

func (l *lister) set(f func(*lister)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func (l *lister) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lists
}

func (l *lister) describe(context.Context) (Description, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.desc, l.fail
}

func (l *lister) Handle(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	if c.Method.Name != mcp.ToolsList {
		return l.other(c), nil
	}
	l.clients = append(l.clients, c.Client)
	if l.listed != nil {
		l.listed()
	}
	n := 0
	if cursor, ok := c.Message.Text("cursor"); ok {
		if _, err := fmt.Sscanf(cursor, "page-%d", &n); err != nil && cursor != "" {
			return nil, errors.New("bad cursor " + cursor)
		}
	} else {
		l.lists++
	}
	reply := rpc.Respond(rpc.NewResult(c.Message.ID, []byte(l.pages[min(n, len(l.pages)-1)])))
	reply.Revision = l.spoken
	return reply, nil
}

func (l *lister) other(c *rpc.Call) *rpc.Reply {
	if result, ok := l.others[c.Method.Name]; ok {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(result)))
	}
	return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "no such method"}))
}

// tools writes a page of tools with the given names.
func tools(names ...string) string {
	var entries []string
	for _, n := range names {
		entries = append(entries, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, n))
	}
	return `{"tools":[` + strings.Join(entries, ",") + `]}`
}

// listing is an upstream with one page of tools.
func listing(names ...string) *lister { return &lister{pages: []string{tools(names...)}} }

type named struct {
	name string
	*lister
}

func all(string) bool { return true }

func newCatalog(t *testing.T, upstreams ...named) *Catalog {
	t.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, u := range upstreams {
		sources = append(sources, Source{Name: u.name, Handler: u.lister, Describe: u.describe, Allows: all})
	}
	c := New(t.Context(), sources, keys, slog.New(slog.DiscardHandler))
	t.Cleanup(c.Close)
	return c
}

func merged(p Prefix) *View { return &View{Endpoint: "/mcp", Prefix: p, Allows: all} }

func listCall(params string) *rpc.Call {
	row, _ := mcp.Lookup(mcp.ToolsList, mcp.LatestLegacy)
	var p []byte
	if params != "" {
		p = []byte(params)
	}
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), mcp.ToolsList, p), Method: row, Endpoint: "/mcp",
		Client: rpc.Client{Revision: mcp.LatestLegacy}, Received: time.Now(),
	}
}

// names lists the tools a view shows, over all pages.
func names(t *testing.T, c *Catalog, v *View, call *rpc.Call) []string {
	t.Helper()
	text, err := c.List(t.Context(), v, call)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return namesIn(t, text)
}

func namesIn(t *testing.T, text json.RawMessage) []string {
	t.Helper()
	var result struct {
		Tools []struct{ Name string } `json:"tools"`
	}
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out := []string{}
	for _, tool := range result.Tools {
		out = append(out, tool.Name)
	}
	return out
}
