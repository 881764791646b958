package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state/embedded"
)

// usual are bounds that nothing in most tests comes near to.
var usual = job.Config{
	Workers: 2, Attempts: 3, Visibility: 30 * time.Second, Keep: time.Hour, MaxAge: 24 * time.Hour, PerTenant: 100,
	MaxParams: 1 << 20, MaxResult: 1 << 20,
}

var (
	ann = rpc.Principal{Org: "acme", Key: "ann", Scopes: []string{"infer:*"}}
	bob = rpc.Principal{Org: "acme", Key: "bob", Scopes: []string{"infer:*"}}
)

// plant is jobs on an engine of their own, with whatever answers in the model's place.
type plant struct {
	*job.Jobs
	t      *testing.T
	engine *embedded.Engine
	run    rpc.HandlerFunc
	deps   job.Deps
	cfg    job.Config
	path   string
}

// inPlant runs a test in a bubble, where time passes when everybody waits.
func inPlant(t *testing.T, cfg job.Config, run rpc.HandlerFunc, test func(t *testing.T, p *plant)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		p := &plant{t: t, cfg: cfg, path: path, run: run}
		answer := func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) { return p.run(ctx, c) }
		p.deps = job.Deps{Run: rpc.HandlerFunc(answer), Log: slog.New(slog.DiscardHandler)}
		p.open()
		defer func() { p.close() }()
		test(t, p)
	})
}

func (p *plant) open() {
	p.t.Helper()
	e, err := embedded.Open(p.path, embedded.Options{Log: p.deps.Log})
	if err != nil {
		p.t.Fatal(err)
	}
	p.engine, p.deps.Store, p.deps.Bus, p.deps.Clock = e, e.Jobs(), e.Bus(), e
	p.Jobs = job.New(p.t.Context(), p.deps, p.cfg)
}

func (p *plant) close() {
	p.t.Helper()
	gone, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	cancel()
	p.Drain(gone)
	if err := p.engine.Close(context.WithoutCancel(p.t.Context())); err != nil {
		p.t.Error(err)
	}
}

func (p *plant) start() {
	p.t.Helper()
	if err := p.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// ask makes a call and returns the result, or the error.
func (p *plant) ask(who rpc.Principal, method, params string) (map[string]any, error) {
	p.t.Helper()
	m, err := rpc.Parse(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":7,"method":%q,"params":%s}`, method, params), rpc.Limits{})
	if err != nil {
		p.t.Fatal(err)
	}
	row, ok := infer.Lookup(method)
	if !ok {
		p.t.Fatal(method)
	}
	reply, err := p.Handle(p.t.Context(), &rpc.Call{
		Message: m, Method: row, Dialect: rpc.Infer, Endpoint: infer.Path, Principal: who, Remote: netip.MustParseAddrPort("192.0.2.1:1"),
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Close() }()
	got, err := reply.Next()
	if err != nil {
		p.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(got.Result, &out); err != nil || got.ID.Raw() != "7" {
		p.t.Fatalf("%s: %v", got.Result, err)
	}
	return out, nil
}

// does is ask where it has to go well.
func (p *plant) does(who rpc.Principal, method, params string) map[string]any {
	p.t.Helper()
	out, err := p.ask(who, method, params)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, params, err)
	}
	return out
}

// refused is ask where it must not, and returns the error.
func (p *plant) refused(who rpc.Principal, method, params string, want rpc.Code) *rpc.Error {
	p.t.Helper()
	out, err := p.ask(who, method, params)
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Code != want {
		p.t.Fatalf("%s %s: %v, %v, want %v", method, params, out, err, want)
	}
	return e
}

// submit submits a job of ann's with further params, and returns its id.
func (p *plant) submit(further string) string {
	p.t.Helper()
	out := p.does(ann, infer.InvokeAsync, `{"model":"m","prompt":"hello"`+further+`}`)
	if out["state"] != "queued" {
		p.t.Fatalf("submitted: %v", out)
	}
	return out["job_id"].(string)
}

// status asks for ann's job, and waits for it for up to so many seconds.
func (p *plant) status(id string, wait int) map[string]any {
	p.t.Helper()
	return p.does(ann, infer.Status, fmt.Sprintf(`{"job_id":%q,"wait":%d}`, id, wait))
}

// ends waits until a job of ann's has ended, and expects it to be in a state.
func (p *plant) ends(id, want string, attempt int) map[string]any {
	p.t.Helper()
	for range 10_000 {
		if out := p.status(id, 30); out["finished_at"] != nil {
			if out["state"] != want || out["attempt"] != float64(attempt) {
				p.t.Fatalf("%v, want %s in attempt %d", out, want, attempt)
			}
			return out
		}
	}
	p.t.Fatalf("job %s does not end: %v", id, p.status(id, 0))
	return nil
}

// operators is how the job stands for operators.
func (p *plant) operators(id string) job.View {
	p.t.Helper()
	v, err := p.Show(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// answers is a model that answers with its prompt, in chunks.
func answers(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	var meter rpc.Meter
	try := c.Record.Try(rpc.Hop{Upstream: "m"})
	try.Metered(&meter)
	meter.Uses(rpc.Usage{Input: 3, Output: 5})
	try.End(nil)
	var out script
	prompt, _ := c.Message.Text("prompt")
	for _, letter := range prompt {
		out = append(out, infer.TextChunk(string(letter)))
	}
	out = append(out, rpc.NewResult(c.Message.ID, []byte(`{"finish_reason":"stop","n":1.50}`)))
	return rpc.NewReply(&out), nil
}

// script is a reply that is known beforehand.
type script []*rpc.Message

func (s *script) Next() (*rpc.Message, error) {
	if len(*s) == 0 {
		return nil, io.EOF
	}
	m := (*s)[0]
	*s = (*s)[1:]
	return m, nil
}

func (*script) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*script) Close() error              { return nil }

// hangs is a model that does not answer before it is told that nobody waits.
type hangs struct {
	begun chan *rpc.Call // each call
	ended chan error     // why it was given up
}

func newHangs() *hangs { return &hangs{make(chan *rpc.Call, 100), make(chan error, 100)} }

func (h *hangs) handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	c.Record.Try(rpc.Hop{Upstream: "m"})
	h.begun <- c
	return rpc.NewReply(&hanging{ctx, h}), nil
}

type hanging struct {
	ctx context.Context //nolint:containedctx // of the reply
	h   *hangs
}

func (h *hanging) Next() (*rpc.Message, error) {
	<-h.ctx.Done()
	return nil, context.Cause(h.ctx)
}

func (*hanging) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

func (h *hanging) Close() error {
	h.h.ended <- context.Cause(h.ctx)
	return nil
}
