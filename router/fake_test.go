package router

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// upstream answers each method, or method and subject after a space, with a result
// or an error; what is in neither it does not know.
type upstream struct {
	results map[string]string
	errors  map[string]rpc.WireError
	fail    error

	gate func(c *rpc.Call) error // lets calls in, but for lists; nil lets all

	capabilities string
	silent       bool // about who it is

	lists atomic.Int64 // how many it was asked for

	mu   sync.Mutex
	sent []string // what it got, but for lists
}

func (u *upstream) Handle(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	subject, _ := c.Message.Text(string(c.Method.Subject))
	if c.Target.Own != "" && subject != "" {
		subject = c.Target.Own
	}
	if c.Method.Dest == rpc.Every {
		u.lists.Add(1)
	} else {
		u.mu.Lock()
		u.sent = append(u.sent, strings.TrimSpace(c.Method.Name+" "+subject))
		u.mu.Unlock()
		if u.fail != nil {
			return nil, u.fail
		}
		if u.gate != nil {
			if err := u.gate(c); err != nil {
				return nil, err
			}
		}
	}
	for _, key := range []string{c.Method.Name + " " + subject, c.Method.Name} {
		if text, ok := u.results[key]; ok {
			if text == "echo" {
				sent, _ := c.Message.Clone().Get("ref")
				text = `{"ref":` + string(sent) + `}`
			}
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(text))), nil
		}
		if e, ok := u.errors[key]; ok {
			return rpc.Respond(rpc.NewError(c.Message.ID, &e)), nil
		}
	}
	return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "no " + c.Method.Name})), nil
}

func (u *upstream) describe(context.Context) (catalog.Description, error) {
	if u.silent {
		return catalog.Description{}, errors.New("silent")
	}
	return catalog.Description{Capabilities: json.RawMessage(u.capabilities)}, nil
}

func (u *upstream) got() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string{}, u.sent...)
}

// gateway is a router with its catalogue over some upstreams.
type gateway struct {
	t *testing.T
	*Router
	client rpc.Client
	header http.Header
}

func newGateway(t *testing.T, order []string, upstreams map[string]*upstream) gateway {
	t.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	all := func(string) bool { return true }
	views := []catalog.View{{Endpoint: "/mcp", Prefix: catalog.Always, Allows: all}}
	handlers := map[string]rpc.Handler{}
	var sources []catalog.Source
	for _, name := range order {
		u := upstreams[name]
		handlers[name] = u
		sources = append(sources, catalog.Source{
			Name: name, Handler: u, Allows: all,
			Describe: u.describe,
		})
		views = append(views, catalog.View{Endpoint: "/mcp/" + name, Upstreams: []string{name}, Single: true, Allows: all})
	}
	c := catalog.New(t.Context(), sources, keys, slog.New(slog.DiscardHandler))
	t.Cleanup(c.Close)
	c.Warm(t.Context())
	return gateway{t, New(views, Deps{Catalog: c, Upstreams: handlers, Info: json.RawMessage(`{}`)}), rpc.Client{Revision: mcp.LatestLegacy}, nil}
}

// call returns the response that a client reads.
func (g gateway) call(endpoint, method, params string) string {
	g.t.Helper()
	row, ok := mcp.Lookup(method, g.client.Revision)
	if !ok {
		g.t.Fatalf("no method %s", method)
	}
	m := rpc.NewRequest(rpc.NumberID(1), method, []byte(params))
	reply, err := g.Resolve(g.Router).Handle(g.t.Context(), &rpc.Call{
		Message: m, Method: row, Dialect: rpc.MCP, Received: time.Now(), Endpoint: endpoint, Client: g.client, Header: g.header,
	})
	if err != nil {
		return err.Error()
	}
	defer reply.Close()
	first, err := reply.Next()
	if err != nil {
		return err.Error()
	}
	text := string(first.AppendTo(nil))
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"jsonrpc":"2.0","id":1,`), "}")
}
