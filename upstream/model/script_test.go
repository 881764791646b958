package model_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream/model"
)

// secret is what no client may read.
const secret = "s3cr3t-of-the-backend"

// backend makes a backend that is closed when the test ends.
func backend(tb testing.TB, cfg config.ModelBackend) model.Backend {
	tb.Helper()
	return backendOf(tb, cfg, model.BackendDeps{})
}

func backendOf(tb testing.TB, cfg config.ModelBackend, deps model.BackendDeps) model.Backend {
	tb.Helper()
	deps.Model, deps.Log, deps.Agent = "big", slog.New(slog.DiscardHandler), "headgate/test"
	if deps.MaxResult == 0 {
		deps.MaxResult = 16 << 20
	}
	if cfg.Headers == nil && cfg.Kind != "mcp" {
		cfg.Headers = map[string]config.Secret{"Authorization": config.Secret("Bearer " + secret)}
	}
	b, err := model.NewBackend(cfg, deps)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	return b
}

// invoke makes the call of an invocation.
func invoke(tb testing.TB, params string) *rpc.Call {
	tb.Helper()
	m, err := rpc.Parse(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"c-1","method":"invoke","params":%s}`, params), rpc.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	row, _ := infer.Lookup(infer.Invoke)
	return &rpc.Call{
		Message: m, Method: row, Dialect: rpc.Infer, Received: time.Now(), Record: &rpc.Record{},
		Header: http.Header{"Authorization": {"Bearer of-the-client"}, "Cookie": {"of=the-client"}},
		Target: rpc.Target{Kind: rpc.Model, Exposed: "default", Canonical: "big", Upstream: "big", Own: "sim"},
	}
}

// answer is what a client would see.
type answer struct {
	Chunks []string // params
	Result string
	Err    *rpc.Error
	Usage  rpc.Usage

	pushed bool // chunks are, where they can be
	given  int  // chunks that were
}

// Take implements [rpc.Taker]: it wants no more now and then.
func (a *answer) Take(m *rpc.Message) bool {
	a.given++
	a.Chunks = append(a.Chunks, string(m.Params))
	return len(a.Chunks)%7 > 0
}

// text is the text of all chunks.
func (a *answer) text(tb testing.TB) string {
	tb.Helper()
	var all strings.Builder
	for _, chunk := range a.Chunks {
		o, err := rpc.ParseObject([]byte(chunk))
		if err != nil {
			tb.Fatalf("chunk %s: %v", chunk, err)
		}
		s, _ := o.Text("text")
		all.WriteString(s)
	}
	return all.String()
}

// member is the text of a member of the result.
func (a *answer) member(tb testing.TB, name string) string {
	tb.Helper()
	if a.Err != nil {
		tb.Fatal(a.Err)
	}
	o, err := rpc.ParseObject([]byte(a.Result))
	if err != nil {
		tb.Fatalf("result %q: %v", a.Result, err)
	}
	v, _ := o.Get(name)
	return string(v)
}

// ask makes a call and reads its reply to the end.
func ask(ctx context.Context, tb testing.TB, b model.Backend, c *rpc.Call) answer {
	tb.Helper()
	return askFor(ctx, tb, answer{}, b, c)
}

func askFor(ctx context.Context, tb testing.TB, out answer, b model.Backend, c *rpc.Call) answer {
	tb.Helper()
	reply, err := b.Handle(ctx, c)
	if err == nil {
		defer reply.Close() //nolint:errcheck // it has been read
		err = out.read(tb, reply)
	}
	out.Usage = c.Record.Usage()
	if err != nil && !errors.As(err, &out.Err) {
		tb.Fatalf("an error of no kind: %v", err)
	}
	return out
}

func (a *answer) read(tb testing.TB, reply *rpc.Reply) error {
	tb.Helper()
	for {
		m, err := reply.Next()
		switch {
		case rpc.IsEnd(err) && a.Result == "":
			tb.Fatal("the reply has no response")
		case rpc.IsEnd(err):
			return nil
		case err != nil:
			return err
		case a.Result != "":
			tb.Fatalf("%s after the response", m.AppendTo(nil))
		case m.IsResponse():
			if m.ID.Raw() != `"c-1"` {
				tb.Errorf("the response has the id %s", m.ID.Raw())
			}
			a.Result = string(m.Result)
		case m.Method == infer.Chunk:
			if a.Chunks = append(a.Chunks, string(m.Params)); a.pushed {
				reply.PushTo(a)
			}
		default:
			tb.Fatalf("%s in the reply", m.AppendTo(nil))
		}
	}
}

// seen is a request that a scripted server was sent.
type seen struct {
	path   string
	header http.Header
	body   string
}

// script is a server that gives every request the same answer.
type script struct {
	status int
	kind   string // Content-Type; none if empty
	header map[string]string
	body   string
}

// serve starts a scripted server. The channel has the requests.
func serve(tb testing.TB, s script) (url string, requests <-chan seen) {
	tb.Helper()
	got := make(chan seen, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case got <- seen{r.URL.Path, r.Header, string(body)}:
		default:
		}
		w.Header()["Content-Type"] = nil
		if s.kind != "" {
			w.Header().Set("Content-Type", s.kind)
		}
		for name, value := range s.header {
			w.Header().Set(name, value)
		}
		if s.status != 0 {
			w.WriteHeader(s.status)
		}
		_, _ = io.WriteString(w, s.body)
	}))
	tb.Cleanup(server.Close)
	return server.URL, got
}

// sameJSON compares texts of JSON by what they mean.
func sameJSON(tb testing.TB, what, want, got string) {
	tb.Helper()
	w, err := rpc.Decode([]byte(want))
	if err != nil {
		tb.Fatalf("%s: %v in %s", what, err, want)
	}
	g, err := rpc.Decode([]byte(got))
	if err != nil {
		tb.Fatalf("%s: %v in %s", what, err, got)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// mux starts a server with these paths.
func mux(tb testing.TB, paths map[string]http.HandlerFunc) string {
	tb.Helper()
	m := http.NewServeMux()
	for path, handle := range paths {
		m.HandleFunc(path, handle)
	}
	server := httptest.NewServer(m)
	tb.Cleanup(server.Close)
	return server.URL
}

// lister is a backend that knows which models its server has.
type lister interface {
	Models(ctx context.Context) ([]string, error)
}

// small bounds answers.
var small = model.BackendDeps{MaxResult: 1 << 16}
