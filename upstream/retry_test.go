package upstream_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// status is what an upstream answered by an HTTP status alone.
type status int

func (s status) Error() string   { return "HTTP status " + strconv.Itoa(int(s)) }
func (s status) HTTPStatus() int { return int(s) }

// step is what becomes of one attempt: an error at once, or a reply that begins with one.
type step struct {
	err   error
	late  bool // the error comes when the reply is pulled
	after bool // and after a message
	speak rpc.Revision
}

var (
	broke   = step{err: &rpc.Error{Code: rpc.UpstreamDown, Message: "broke"}}
	late    = step{err: broke.err, late: true}
	torn    = step{err: broke.err, late: true, after: true}
	refuses = step{err: &rpc.Error{Code: rpc.UpstreamDown, Message: "refused", NotRun: true}}
	silent  = step{err: &rpc.Error{Code: rpc.UpstreamTimeout, Message: "silent"}}
	odd     = step{err: &rpc.Error{Code: rpc.UpstreamFailed, Message: "no message", Cause: io.ErrUnexpectedEOF}}
	busy    = step{err: &rpc.Error{Code: rpc.UpstreamFailed, Message: "503", Cause: status(503), RetryAfter: 2 * time.Second}}
	sorry   = step{err: &rpc.Error{Code: rpc.UpstreamFailed, Message: "500", Cause: status(500)}}
	patient = step{err: &rpc.Error{Code: rpc.UpstreamFailed, Message: "429", Cause: status(429), RetryAfter: time.Minute}}
	fine    = step{}
)

// scene is the backends of an upstream, which share one list of steps.
type scene struct {
	mu    sync.Mutex
	steps []step
	asked []string // backends, in order
	times []time.Duration
	began time.Time
	open  atomic.Int64 // replies that are not closed
}

// backend answers by the next step; when there are none left, well.
type backend struct {
	*scene
	id string
}

func (b *backend) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.times = append(b.asked, b.id), append(b.times, time.Since(b.began).Round(time.Second))
	s := fine
	if len(b.steps) > 0 {
		s, b.steps = b.steps[0], b.steps[1:]
	}
	if s.err != nil && !s.late {
		return nil, s.err
	}
	b.open.Add(1)
	r := rpc.NewReply(&played{step: s, of: b.scene})
	r.Revision = s.speak
	return r, nil
}

// played is the reply of a step.
type played struct {
	step
	of   *scene
	said bool
	once sync.Once
}

func (p *played) Next() (*rpc.Message, error) {
	switch {
	case p.err != nil && (!p.after || p.said):
		return nil, p.err
	case p.after:
		p.said = true
		return rpc.NewNotification("notifications/progress", nil), nil
	}
	return rpc.NewResult(rpc.NumberID(1), []byte("{}")), nil
}
func (p *played) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (p *played) Close() error              { p.once.Do(func() { p.of.open.Add(-1) }); return nil }

// set makes a pool of n backends that play the steps.
func (s *scene) set(n int, retry config.Retry) *upstream.Pool {
	s.began = time.Now()
	p := upstream.NewPool(upstream.PoolConfig{Upstream: "x", Log: slog.New(slog.DiscardHandler), Retry: upstream.NewRetries(retry), Random: func() uint64 { return 0 }})
	for i := range n {
		p.Add(upstream.BackendConfig{ID: string(rune('a' + i)), Weight: 1, Handler: &backend{s, string(rune('a' + i))}})
	}
	return p
}

func idempotent() *rpc.Call {
	c := callOf("acme", 0)
	c.Target.Idempotent = true
	return c
}

// ruled is a call that may take so long in all.
func ruled(most time.Duration) *rpc.Call {
	c := idempotent()
	c.Route = &rpc.Route{MaxTimeout: most}
	return c
}

var three = config.Retry{Attempts: 3, Budget: 10}

func TestWhatIsMadeAgain(t *testing.T) {
	t.Parallel()
	long := func(t *testing.T) context.Context { return t.Context() }
	tests := map[string]struct {
		call     *rpc.Call
		backends int
		steps    []step
		retry    config.Retry
		ctx      func(*testing.T) context.Context
		asked    []string
		times    []time.Duration // rounded to seconds
		fails    error
	}{
		"on another backend":                         {idempotent(), 2, []step{broke}, three, long, []string{"a", "b"}, nil, nil},
		"broken before the first message":            {idempotent(), 2, []step{late}, three, long, []string{"a", "b"}, nil, nil},
		"again and again":                            {idempotent(), 3, []step{late, broke}, three, long, []string{"a", "b", "c"}, nil, nil},
		"no more than so often":                      {idempotent(), 3, []step{late, broke, late, fine}, three, long, []string{"a", "b", "c"}, nil, broke.err},
		"not once a message was seen":                {idempotent(), 2, []step{torn}, three, long, []string{"a"}, nil, broke.err},
		"not what may have run":                      {callOf("acme", 0), 2, []step{broke}, three, long, []string{"a"}, nil, broke.err},
		"not what may have run, late":                {callOf("acme", 0), 2, []step{late}, three, long, []string{"a"}, nil, broke.err},
		"what did not run":                           {callOf("acme", 0), 1, []step{refuses}, three, long, []string{"a", "a"}, nil, nil},
		"not what failed for good":                   {idempotent(), 2, []step{odd}, three, long, []string{"a"}, nil, odd.err},
		"not what is refused for good":               {idempotent(), 2, []step{sorry}, three, long, []string{"a"}, nil, sorry.err},
		"not what took all its time":                 {idempotent(), 2, []step{silent}, three, long, []string{"a"}, nil, silent.err},
		"a busy one when it wants":                   {idempotent(), 1, []step{busy}, three, long, []string{"a", "a"}, []time.Duration{0, 2 * time.Second}, nil},
		"another one at once":                        {idempotent(), 2, []step{busy}, three, long, []string{"a", "b"}, []time.Duration{0, 0}, nil},
		"not one that wants too long a pause":        {idempotent(), 1, []step{patient}, three, long, []string{"a"}, nil, patient.err},
		"but another one":                            {idempotent(), 2, []step{patient}, three, long, []string{"a", "b"}, nil, nil},
		"not where that is switched off":             {idempotent(), 2, []step{broke}, config.Retry{Attempts: 1, Budget: 10}, long, []string{"a"}, nil, broke.err},
		"not without a budget":                       {idempotent(), 2, []step{broke}, config.Retry{Attempts: 3}, long, []string{"a"}, nil, broke.err},
		"not where another era would be spoken then": {idempotent(), 2, []step{late, {speak: "2024-11-05"}}, three, long, []string{"a", "b"}, nil, broke.err},
		"not past a deadline": {idempotent(), 1, []step{busy}, three, func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}, []string{"a"}, []time.Duration{0}, busy.err},
		"not past what its rule says": {ruled(time.Second), 1, []step{busy}, three, long, []string{"a"}, []time.Duration{0}, busy.err},
		"within what its rule says":   {ruled(5 * time.Second), 1, []step{busy}, three, long, []string{"a", "a"}, nil, nil},
		"not when the client has left": {idempotent(), 2, []step{broke}, three, func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, []string{"a"}, nil, broke.err},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scene{steps: test.steps}
				p := s.set(test.backends, test.retry)
				err := finish(test.ctx(t), p, test.call)
				if !errors.Is(err, test.fails) {
					t.Errorf("ended with %v, want %v", err, test.fails)
				}
				if diff := cmp.Diff(test.asked, s.asked); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
				if test.times != nil && !slices.Equal(test.times, s.times) {
					t.Errorf("asked at %v, want %v", s.times, test.times)
				}
				if n := s.open.Load(); n != 0 {
					t.Errorf("%d replies are left open", n)
				}
				if took := time.Since(s.began); test.fails != nil && test.times != nil && took > 0 {
					t.Errorf("the client was told after %v", took)
				}
			})
		})
	}
}

// An upstream that fails all the time gets hardly more calls than clients make.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 1000
		s := &scene{steps: slices.Repeat([]step{broke}, 3*calls)}
		p := s.set(2, config.Retry{Attempts: 10, Budget: 10})
		for range calls {
			if err := finish(t.Context(), p, idempotent()); err == nil {
				t.Fatal("a call went well")
			}
		}
		if n := len(s.asked); n < calls*11/10 || n > calls*11/10+10 {
			t.Errorf("%d attempts of %d calls", n, calls)
		}
	})
}

// A client that leaves while its call waits to be made again is not waited for, and the call is not made.
func TestWhoLeavesIsNotServedAgain(t *testing.T) {
	t.Parallel()
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &scene{steps: []step{busy}}
			p := s.set(1, three)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := finish(ctx, p, idempotent()); !errors.Is(err, busy.err) || time.Since(s.began) != time.Second || len(s.asked) != 1 {
				t.Errorf("%v after %v, asked %v", err, time.Since(s.began), s.asked)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			slow := busy
			slow.late = true
			s := &scene{steps: []step{slow}}
			reply, err := s.set(1, three).Handle(t.Context(), idempotent())
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, func() { _ = reply.Close() })
			if _, err := reply.Next(); err == nil || time.Since(s.began) != time.Second || len(s.asked) != 1 || s.open.Load() != 0 {
				t.Errorf("%v after %v, asked %v", err, time.Since(s.began), s.asked)
			}
		})
	})
}

// The record says how often a call was made, and why again.
func TestRetriesAreOnRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{steps: []step{late, broke}}
		c := idempotent()
		if err := finish(t.Context(), s.set(3, three), c); err != nil {
			t.Fatal(err)
		}
		var why []string
		for _, e := range c.Record.Events(nil) {
			if e.Kind == rpc.Repeated {
				why = append(why, e.Name)
			}
		}
		if !slices.Equal(why, []string{"upstream_down", "upstream_down"}) {
			t.Errorf("made again for %v", why)
		}
	})
}

// purse is a stake that pays for so many further attempts.
type purse struct{ left int }

func (*purse) Retain()  {}
func (*purse) Release() {}
func (p *purse) Again() error {
	if p.left--; p.left < 0 {
		return errors.New("there is nothing left")
	}
	return nil
}

// What may have run is made again if that is paid for; what did not costs nothing.
func TestWhatMayHaveRunIsPaidForAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		steps []step
		left  int
		asked int
		fails error
	}{
		"paid":     {[]step{broke, late}, 2, 3, nil},
		"once":     {[]step{broke, late}, 1, 2, late.err},
		"not once": {[]step{broke}, 0, 1, broke.err},
		"not run":  {[]step{refuses, refuses}, 0, 3, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &scene{steps: test.steps}
			c := idempotent()
			c.Record.Stake = &purse{test.left}
			if err := finish(t.Context(), s.set(3, three), c); !errors.Is(err, test.fails) || len(s.asked) != test.asked {
				t.Errorf("%s: %v, asked %v", name, err, s.asked)
			}
		})
	}
}
