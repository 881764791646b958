package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

// script is a backend whose calls go as its next function says.
type script struct {
	id    string
	calls int
	do    func() (*rpc.Reply, error)
}

func (s *script) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) {
	s.calls++
	return s.do()
}

func answers() (*rpc.Reply, error) {
	return rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte("{}"))), nil
}

func breaks() (*rpc.Reply, error) {
	return nil, &rpc.Error{Code: rpc.UpstreamDown, Message: "broke"}
}

// vanished is a server that refuses connections: the call did not run.
func vanished() (*rpc.Reply, error) {
	return nil, &rpc.Error{Code: rpc.UpstreamDown, Message: "refused", NotRun: true}
}

// hanging is a reply that ends when it is closed.
type hanging struct{ closed chan struct{} }

func hangs() (*rpc.Reply, error) { return rpc.NewReply(&hanging{make(chan struct{})}), nil }

func (h *hanging) Next() (*rpc.Message, error) {
	<-h.closed
	return nil, context.Canceled
}
func (h *hanging) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (h *hanging) Close() error              { close(h.closed); return nil }

// newPool makes a pool of scripted backends that answer.
func newPool(cfg PoolConfig, weights ...int) (*Pool, []*script) {
	cfg.Upstream, cfg.Log = "x", slog.New(slog.DiscardHandler)
	if cfg.Random == nil {
		cfg.Random = rand.New(rand.NewPCG(1, 2)).Uint64
	}
	p := NewPool(cfg)
	var scripts []*script
	for i, w := range weights {
		s := &script{id: "10.0.0." + strconv.Itoa(i) + ":80", do: answers}
		p.Add(BackendConfig{ID: s.id, Weight: w, Handler: s})
		scripts = append(scripts, s)
	}
	return p, scripts
}

var aCall = &rpc.Call{Method: &rpc.Method{Name: "tools/call"}}

// call makes a call and reads its reply.
func call(p *Pool) error {
	reply, err := p.Handle(context.Background(), aCall)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Close() }()
	_, err = reply.Next()
	return err
}

func total(scripts []*script) (n int) {
	for _, s := range scripts {
		n += s.calls
	}
	return n
}

func TestACallThatDidNotRunGoesToAnotherBackend(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{Breaker: BreakerConfig{Failures: 5, OpenFor: time.Second}}, 1, 1, 1)
	s[0].do, s[1].do = vanished, vanished
	for range 100 {
		if err := call(p); err != nil {
			t.Fatal(err)
		}
	}
	if s[2].calls != 100 || s[0].calls > 5 || s[1].calls > 5 {
		t.Errorf("calls: %d %d %d; want at most 5 where it is refused", s[0].calls, s[1].calls, s[2].calls)
	}
}

func TestACallThatMayHaveRunIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 1, 1)
	s[0].do, s[1].do = breaks, breaks
	if err := call(p); rpc.AsError(err).Code != rpc.UpstreamDown || rpc.AsError(err).NotRun || total(s) != 1 {
		t.Errorf("%v after %d calls", err, total(s))
	}
}

func TestWhereAllAreDownTheLastReasonIsTold(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 1, 1)
	s[0].do, s[1].do = vanished, vanished
	if err := call(p); rpc.AsError(err).Message != "refused" || total(s) != 2 {
		t.Errorf("%v after %d calls", err, total(s))
	}
}

func TestBackendsThatWereTriedAreNotAskedAgain(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 1, 1, 1, 1, 1, 1)
	for i := range s {
		s[i].do = breaks
	}
	var tried Tried
	for i := range s {
		if _, err := p.Once(t.Context(), aCall, &tried); rpc.AsError(err).NotRun || tried.Len() != i+1 {
			t.Fatalf("try %d: %v, %d tried", i, err, tried.Len())
		}
	}
	for i := range s {
		if s[i].calls != 1 {
			t.Errorf("backend %d was asked %d times", i, s[i].calls)
		}
	}
	if _, err := p.Once(t.Context(), aCall, &tried); !rpc.AsError(err).NotRun {
		t.Errorf("a further try: %v", err)
	}
}

func TestOneServerThatKeepsFailingFailsFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newPool(PoolConfig{Breaker: BreakerConfig{Failures: 5, OpenFor: 3 * time.Second}}, 1)
		s[0].do = breaks
		for range 20 {
			_ = call(p)
		}
		err := rpc.AsError(call(p))
		if s[0].calls != 5 || err.Code != rpc.UpstreamDown || !err.NotRun || err.RetryAfter != 3*time.Second || err.Upstream != "x" {
			t.Fatalf("%d calls; %#v", s[0].calls, err)
		}
		if got := p.Status()[0]; got.State != BackendOpen || got.Breaker != "open" || got.Back != 3*time.Second || got.Failures != 5 {
			t.Errorf("status %+v", got)
		}
		time.Sleep(3*time.Second + time.Millisecond)
		s[0].do = answers
		if err := call(p); err != nil {
			t.Errorf("the call that tries it: %v", err)
		}
		if got := p.Status()[0]; got.State != BackendUp || got.Breaker != "closed" || got.Back != 0 || got.InFlight != 0 {
			t.Errorf("status %+v", got)
		}
	})
}

// Whoever holds the one place of a half-open breaker gives it back, however the call ends.
func TestTheSlotOfAHalfOpenBreakerIsGivenBack(t *testing.T) {
	t.Parallel()
	ends := map[string]struct {
		do   func() (*rpc.Reply, error)
		read bool
	}{
		"an error":             {func() (*rpc.Reply, error) { return nil, errors.New("client left") }, false},
		"cancelled":            {func() (*rpc.Reply, error) { return nil, context.Canceled }, false},
		"busy":                 {func() (*rpc.Reply, error) { return nil, &rpc.Error{Code: rpc.Busy} }, false},
		"closed unread":        {answers, false},
		"closed while waiting": {hangs, false},
		"a panic":              {func() (*rpc.Reply, error) { panic("boom") }, false},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newPool(PoolConfig{Breaker: BreakerConfig{Failures: 1, OpenFor: time.Second}}, 1)
				s[0].do = breaks
				_ = call(p)
				time.Sleep(1100 * time.Millisecond)
				s[0].do = end.do
				func() {
					defer func() { _ = recover() }()
					if reply, err := p.Handle(t.Context(), aCall); err == nil {
						if s[0].do = answers; call(p) == nil {
							t.Error("a second call was let through while one tries the backend")
						}
						_ = reply.Close()
					}
				}()
				s[0].do = answers
				if err := call(p); err != nil {
					t.Errorf("the next call: %v", err)
				}
				if got := p.Status()[0]; got.Breaker != "closed" || got.InFlight != 0 {
					t.Errorf("status %+v", got)
				}
			})
		})
	}
}

func TestWhatTellsNothingAgainstABackendDoesNotOpenItsBreaker(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"cancelled":        context.Canceled,
		"cancelled inside": &rpc.Error{Code: rpc.UpstreamDown, Cause: context.Canceled},
		"refused":          &rpc.Error{Code: rpc.UpstreamFailed, Cause: status(401)},
		"busy":             &rpc.Error{Code: rpc.Busy},
		"not found":        &rpc.Error{Code: rpc.MethodNotFound},
		"too large":        &rpc.Error{Code: rpc.UpstreamFailed, Cause: ErrTooLarge},
	} {
		p, s := newPool(PoolConfig{Breaker: BreakerConfig{Failures: 1, OpenFor: time.Hour}}, 1)
		s[0].do = func() (*rpc.Reply, error) { return nil, err }
		for range 3 {
			_ = call(p)
		}
		if s[0].calls != 3 {
			t.Errorf("%s opens it", name)
		}
	}
	for name, err := range map[string]error{
		"500":      &rpc.Error{Code: rpc.UpstreamFailed, Cause: status(500)},
		"no JSON":  &rpc.Error{Code: rpc.UpstreamFailed},
		"silence":  &rpc.Error{Code: rpc.UpstreamTimeout},
		"cut":      &rpc.Error{Code: rpc.UpstreamDown, Cause: io.ErrUnexpectedEOF},
		"closed":   &rpc.Error{Code: rpc.UpstreamDown, Cause: io.EOF},
		"refused2": &rpc.Error{Code: rpc.UpstreamDown, NotRun: true},
	} {
		p, s := newPool(PoolConfig{Breaker: BreakerConfig{Failures: 1, OpenFor: time.Hour}}, 1)
		s[0].do = func() (*rpc.Reply, error) { return rpc.NewReply(failing{err}), nil }
		for range 3 {
			_ = call(p)
		}
		if s[0].calls != 1 {
			t.Errorf("%s does not open it", name)
		}
	}
}

type status int

func (status) Error() string     { return "status" }
func (s status) HTTPStatus() int { return int(s) }

// failing is a reply that has an error for a message.
type failing struct{ err error }

func (f failing) Next() (*rpc.Message, error) { return nil, f.err }
func (failing) Answer(*rpc.Message) error     { return rpc.ErrNoQuestion }
func (failing) Close() error                  { return nil }

func TestABackendThatLeavesFinishesItsCalls(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 1, 1)
	for _, b := range s {
		b.do = hangs
	}
	one, err := p.Handle(t.Context(), aCall)
	if err != nil {
		t.Fatal(err)
	}
	two, err := p.Handle(t.Context(), aCall)
	if err != nil || s[0].calls != 1 {
		t.Fatal(err, s[0].calls)
	}
	drained := p.Remove((*p.backends.Load())[0])
	for range 10 {
		if reply, err := p.Handle(t.Context(), aCall); err == nil {
			_ = reply.Close()
		}
	}
	select {
	case <-drained:
		t.Fatal("it is drained while a call runs")
	default:
	}
	_, _ = one.Close(), two.Close()
	<-drained
	if s[0].calls != 1 {
		t.Errorf("it got %d calls after it had left", s[0].calls-1)
	}
}

func TestProbesSteerCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolConfig{
			Upstream: "x", Log: slog.New(slog.DiscardHandler), Life: t.Context(), Health: HealthConfig{Interval: time.Second, Timeout: 100 * time.Millisecond},
		})
		defer p.Close()
		sick := &script{do: answers}
		var unwell atomic.Bool
		p.Add(BackendConfig{ID: "a", Handler: sick, Probe: func(ctx context.Context) error {
			if !unwell.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		p.Add(BackendConfig{ID: "b", Handler: &script{do: answers}, Probe: func(context.Context) error { return nil }})
		time.Sleep(1500 * time.Millisecond)
		unwell.Store(true)
		time.Sleep(3 * time.Second)
		for range 50 {
			_ = call(p)
		}
		if sick.calls != 0 || p.Status()[0].State != BackendDown {
			t.Errorf("%d calls, %+v", sick.calls, p.Status()[0])
		}
		unwell.Store(false)
		time.Sleep(2 * time.Second)
		for range 50 {
			_ = call(p)
		}
		if sick.calls == 0 || p.Status()[0].State != BackendUp {
			t.Errorf("%d calls, %+v", sick.calls, p.Status()[0])
		}
	})
}

// A probe tries a backend that was left alone, so that no client's call has to.
func TestAProbeClosesTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolConfig{
			Upstream: "x", Log: slog.New(slog.DiscardHandler), Life: t.Context(),
			Breaker: BreakerConfig{Failures: 1, OpenFor: 5 * time.Second}, Health: HealthConfig{Interval: time.Second},
		})
		defer p.Close()
		s := &script{do: breaks}
		var well atomic.Bool
		p.Add(BackendConfig{ID: "a", Handler: s, Probe: func(context.Context) error {
			if well.Load() {
				return nil
			}
			return errors.New("unwell")
		}})
		time.Sleep(time.Millisecond)
		_ = call(p)
		time.Sleep(6500 * time.Millisecond)
		if got := p.Status()[0]; got.Breaker != "open" {
			t.Errorf("the probe failed; status %+v", got)
		}
		well.Store(true)
		time.Sleep(6 * time.Second)
		if got := p.Status()[0]; got.Breaker != "closed" || s.calls != 1 {
			t.Errorf("status %+v after %d calls", got, s.calls)
		}
	})
}
