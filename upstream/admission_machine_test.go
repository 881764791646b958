package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// held is a call of the machine: it runs until it is told to end.
type held struct {
	end  chan struct{}
	once sync.Once
}

func (h *held) Next() (*rpc.Message, error) {
	<-h.end
	return nil, io.EOF
}
func (h *held) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (h *held) Close() error              { h.once.Do(func() { close(h.end) }); return nil }

// caller is one call as its client sees it.
type caller struct {
	cancel context.CancelFunc
	reply  *rpc.Reply // once it runs
	err    error      // once it was refused
	over   bool
}

// machine does to an admission whatever clients and upstreams can do, in any order.
type machine struct {
	t       *testing.T
	a       *upstream.Admission
	h       rpc.Handler
	slots   int
	queue   config.Queue
	running atomic.Int64
	mu      sync.Mutex
	callers []*caller
}

// live returns the callers that wait, and those that run.
func (m *machine) live() (waiting, running []*caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.callers {
		switch {
		case c.over || c.err != nil:
		case c.reply != nil:
			running = append(running, c)
		default:
			waiting = append(waiting, c)
		}
	}
	return waiting, running
}

func (m *machine) begin(org string, patience time.Duration) {
	ctx, cancel := context.WithCancel(m.t.Context())
	if patience > 0 {
		ctx, cancel = context.WithTimeout(m.t.Context(), patience)
	}
	c := &caller{cancel: cancel}
	m.mu.Lock()
	m.callers = append(m.callers, c)
	m.mu.Unlock()
	go func() {
		reply, err := m.h.Handle(ctx, callOf(org, 0))
		m.mu.Lock()
		defer m.mu.Unlock()
		c.reply, c.err = reply, err
	}()
	synctest.Wait()
}

// end ends a call that runs, in one of the ways in which calls end.
func (m *machine) end(c *caller, twice bool) {
	_ = c.reply.Close()
	if twice {
		_, _ = c.reply.Next()
		_ = c.reply.Close()
	}
	c.over = true
	c.cancel()
	synctest.Wait()
}

// check compares what must always hold.
func (m *machine) check(t *rapid.T) {
	waiting, running := m.live()
	s := m.a.Status()
	switch {
	case s.InFlight > m.slots, int(m.running.Load()) != s.InFlight, s.InFlight != len(running):
		t.Fatalf("%d slots: %d are taken, %d calls run, %d clients have a reply", m.slots, s.InFlight, m.running.Load(), len(running))
	case s.Waiting != len(waiting):
		t.Fatalf("%d calls wait, but %d are in the queue", len(waiting), s.Waiting)
	case s.Waiting > 0 && s.InFlight < m.slots:
		t.Fatalf("%d calls wait beside %d free slots", s.Waiting, m.slots-s.InFlight)
	case s.Waiting > m.queue.Size:
		t.Fatalf("%d calls wait, of at most %d", s.Waiting, m.queue.Size)
	}
	sum := 0
	for _, each := range s.Tenants {
		if sum += each.Waiting; each.Waiting > m.queue.PerTenant || each.Waiting < 1 {
			t.Fatalf("%d calls of %s wait, of at most %d", each.Waiting, each.Tenant, m.queue.PerTenant)
		}
	}
	if sum != s.Waiting {
		t.Fatalf("tenants have %d calls of %d", sum, s.Waiting)
	}
	for _, c := range m.callers {
		if e, refused := errors.AsType[*rpc.Error](c.err); refused && e.Code != rpc.Overloaded || c.err != nil && !refused && !errors.Is(c.err, context.Canceled) && !errors.Is(c.err, context.DeadlineExceeded) {
			t.Fatalf("refused with %v", c.err)
		}
	}
}

// No order of beginnings, ends, departures and deadlines gives out more slots than there are, loses one, or forgets
// somebody who waits.
func TestSlotsAreNeverLostOrGivenTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.IntRange(1, 4).Draw(rt, "slots")
		queue := config.Queue{
			Size: rapid.IntRange(0, 12).Draw(rt, "size"), PerTenant: rapid.IntRange(1, 4).Draw(rt, "per tenant"), MaxWait: time.Minute,
		}
		synctest.Test(t, func(t *testing.T) {
			m := &machine{t: t, slots: slots, queue: queue}
			m.a = bounded(slots, queue, config.Priority{Who: config.Who{Org: "vip"}, Band: "interactive", Weight: 2}, config.Priority{Who: config.Who{Org: "bulk"}, Band: "batch", Weight: 1})
			m.h = m.a.Before(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
				m.running.Add(1)
				h := &held{end: make(chan struct{})}
				return rpc.NewReply(&heldCounted{h, &m.running}), nil
			}))
			m.run(rt)
		})
	})
}

// heldCounted counts a call until it is closed.
type heldCounted struct {
	*held
	running *atomic.Int64
}

func (c *heldCounted) Close() error {
	c.running.Add(-1)
	return c.held.Close()
}

func (m *machine) run(rt *rapid.T) {
	orgs := []string{"a", "b", "c", "vip", "bulk"}
	for range rapid.IntRange(1, 60).Draw(rt, "steps") {
		waiting, running := m.live()
		switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
		case what < 5:
			patience := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(rt, "patience")) * time.Second
			m.begin(rapid.SampledFrom(orgs).Draw(rt, "who"), patience)
		case what < 7 && len(running) > 0:
			m.end(rapid.SampledFrom(running).Draw(rt, "ends"), rapid.Bool().Draw(rt, "twice"))
		case what == 7 && len(waiting) > 0:
			rapid.SampledFrom(waiting).Draw(rt, "leaves").cancel()
			synctest.Wait()
		case what == 8:
			time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			synctest.Wait()
		case what == 9 && len(running) > 0 && len(waiting) > 0: // at the same moment
			rapid.SampledFrom(waiting).Draw(rt, "leaves").cancel()
			m.end(rapid.SampledFrom(running).Draw(rt, "ends"), false)
		}
		m.check(rt)
	}
	for { // whoever waits is served in the end
		_, running := m.live()
		if len(running) == 0 {
			break
		}
		m.end(running[0], false)
		m.check(rt)
	}
	if waiting, _ := m.live(); len(waiting) > 0 || m.a.Status().InFlight != 0 {
		rt.Fatalf("%d wait, %+v", len(waiting), m.a.Status())
	}
	for _, c := range m.callers {
		c.cancel()
	}
}

// The same at full speed, for the race detector: slots are taken on the way past the queue too.
func TestSlotsUnderContention(t *testing.T) {
	t.Parallel()
	const slots = 3
	w := &worker{}
	a := bounded(slots, config.Queue{Size: 16, PerTenant: 8, MaxWait: time.Minute})
	h := a.Before(w)
	var all sync.WaitGroup
	var served, refusals atomic.Int64
	for i := range 16 {
		all.Go(func() {
			org := fmt.Sprint("org", i%5)
			for j := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%7 == 0 {
					time.AfterFunc(time.Duration(j)*time.Microsecond, cancel)
				}
				switch err := finish(ctx, h, callOf(org, time.Duration(j%3)*10*time.Microsecond)); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, context.Canceled):
				case rpc.AsError(err).Code == rpc.Overloaded:
					refusals.Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if s := a.Status(); s.InFlight != 0 || s.Waiting != 0 || w.most.Load() > slots || served.Load() == 0 {
		t.Errorf("most at a time %d, served %d, refused %d, status %+v", w.most.Load(), served.Load(), refusals.Load(), s)
	}
	if got := w.count(1 << 20); len(got) != 5 {
		t.Errorf("served %v", got)
	}
}
