package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// refused checks how a call was refused.
func refused(t *testing.T, err error, shed string) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal for %s", err, shed)
	}
	data, _ := e.Data.(map[string]any)
	if e.Code != rpc.Overloaded || !e.NotRun || e.Upstream != "render" || data["shed"] != shed || e.RetryAfter < time.Second {
		t.Errorf("refused with %+v, want %s", e, shed)
	}
}

func TestWithoutALimitNothingIsInTheWay(t *testing.T) {
	t.Parallel()
	w := &worker{}
	if got := admission(0).Before(w); got != rpc.Handler(w) {
		t.Errorf("%T stands before the upstream", got)
	}
}

// A full queue is shared: who has less in it than others takes the place of the newest of who has most, and who comes
// before others takes theirs.
func TestAFullQueueIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bounded(1, config.Queue{Size: 4, PerTenant: 2, MaxWait: time.Minute}, config.Priority{Who: config.Who{Org: "vip"}, Band: "interactive", Weight: 1}).
			Before(&worker{})
		var mu sync.Mutex
		outcome := map[string][]string{}
		var all sync.WaitGroup
		for _, org := range []string{"a", "a", "a", "a", "b", "b", "c", "d", "e", "vip", "vip", "vip"} {
			all.Go(func() {
				said := "served"
				if err := finish(t.Context(), h, callOf(org, time.Second)); err != nil {
					said, _ = rpc.AsError(err).Data.(map[string]any)["shed"].(string)
					refused(t, err, said)
				}
				mu.Lock()
				defer mu.Unlock()
				outcome[org] = append(outcome[org], said)
			})
			synctest.Wait()
		}
		all.Wait()
		want := map[string][]string{
			"a": {"tenant_queue_full", "displaced", "displaced", "served"}, "b": {"displaced", "displaced"},
			"c": {"served"}, "d": {"served"}, "e": {"queue_full"}, "vip": {"tenant_queue_full", "served", "served"},
		}
		if diff := cmp.Diff(want, outcome); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A call that cannot be served in time is refused at once; who waits alone is not, because nothing is known.
func TestACallThatWouldBeTooLateIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := admission(2)
		h := a.Before(&worker{})
		end := crowd(t, h, "a", 60, always(time.Second))
		time.Sleep(10500 * time.Millisecond) // 22 are gone or run, 38 wait for 19 s
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		refused(t, finish(ctx, h, callOf("a", time.Second)), "deadline")
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v to refuse it", took)
		}
		// Another tenant is served next.
		if err := finish(ctx, h, callOf("b", time.Second)); err != nil {
			t.Error(err)
		}
		end()
	})
}

func TestACallThatWaitsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := bounded(1, config.Queue{Size: 4, PerTenant: 1, MaxWait: 5 * time.Second})
		h := a.Before(&worker{})
		end := crowd(t, h, "a", 1, always(time.Minute))
		synctest.Wait()
		began := time.Now()
		refused(t, finish(t.Context(), h, callOf("b", time.Second)), "queue_timeout")
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("it waited %v", waited)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errDeadline)
		defer cancel()
		if err := finish(ctx, h, callOf("b", time.Second)); !errors.Is(err, errDeadline) {
			t.Errorf("past its deadline: %v", err)
		}
		began = time.Now()
		ruled := callOf("b", time.Second)
		ruled.Route = &rpc.Route{MaxTimeout: 2 * time.Second}
		refused(t, finish(t.Context(), h, ruled), "queue_timeout")
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("by its rule it waited %v", waited)
		}
		if s := a.Status(); s.Waiting != 0 || s.InFlight != 1 || s.Shed["queue_timeout"] != 2 || s.Shed["left"] != 1 {
			t.Errorf("status %+v", s)
		}
		end()
	})
}

// What a call waited is not there for it any more when it runs.
func TestWaitingTakesOfTheTimeOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &worker{}
		var given []rpc.Route
		h := admission(1).Before(rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if c.Route != nil {
				given = append(given, *c.Route)
			}
			return w.Handle(ctx, c)
		}))
		end := crowd(t, h, "a", 1, always(4*time.Second))
		synctest.Wait()
		for _, route := range []*rpc.Route{{MaxTimeout: 10 * time.Second, Timeout: 7 * time.Second}, {Timeout: 7 * time.Second}} {
			c := callOf("b", 4*time.Second)
			c.Route = route
			if err := finish(t.Context(), h, c); err != nil {
				t.Error(err)
			}
		}
		end()
		if diff := cmp.Diff([]rpc.Route{{MaxTimeout: 6 * time.Second, Timeout: 6 * time.Second}, {Timeout: 7 * time.Second}}, given); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

var errDeadline = errors.New("the deadline of a rule")

// A client that leaves while its call waits frees its place, and the call never runs.
func TestWhoLeavesTheQueueIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := bounded(1, config.Queue{Size: 4, PerTenant: 1, MaxWait: time.Minute})
		w := &worker{}
		h := a.Before(w)
		end := crowd(t, h, "a", 1, always(time.Second))
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error)
		go func() { gone <- finish(ctx, h, callOf("b", time.Second)) }()
		synctest.Wait()
		refused(t, finish(t.Context(), h, callOf("b", time.Second)), "tenant_queue_full")
		cancel(errDeadline)
		if err := <-gone; !errors.Is(err, errDeadline) {
			t.Errorf("got %v", err)
		}
		if err := finish(t.Context(), h, callOf("b", time.Second)); err != nil {
			t.Error(err)
		}
		end()
		if got := w.count(10); got["b"] != 1 {
			t.Errorf("served %v", got)
		}
	})
}

// Whatever ends a call gives its slot back, once.
func TestASlotIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	fails := errors.New("fails")
	ends := map[string]func(ctx context.Context, h rpc.Handler) error{
		"response": func(ctx context.Context, h rpc.Handler) error { return finish(ctx, h, callOf("a", 0)) },
		"closed before its response, twice": func(ctx context.Context, h rpc.Handler) error {
			reply, err := h.Handle(ctx, callOf("a", time.Hour))
			if err != nil {
				return err
			}
			return errors.Join(reply.Close(), reply.Close())
		},
		"response, end, close": func(ctx context.Context, h rpc.Handler) error {
			reply, err := h.Handle(ctx, callOf("a", 0))
			if err != nil {
				return err
			}
			if _, err := reply.Next(); err != nil {
				return err
			}
			if _, err := reply.Next(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("after the response: %w", err)
			}
			return reply.Close()
		},
		"no reply": func(ctx context.Context, h rpc.Handler) error {
			c := callOf("a", 0)
			c.Target.Own = "no duration"
			if _, err := h.Handle(ctx, c); err == nil {
				return fails
			}
			return nil
		},
		"panic": func(ctx context.Context, h rpc.Handler) error {
			defer func() { _ = recover() }()
			c := callOf("a", 0)
			c.Target.Own = "panic"
			_, _ = h.Handle(ctx, c)
			return fails
		},
		"cancelled": func(ctx context.Context, h rpc.Handler) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			reply, err := h.Handle(ctx, callOf("a", time.Hour))
			if err != nil {
				return err
			}
			cancel(fails)
			if _, err := reply.Next(); !errors.Is(err, fails) {
				return err
			}
			return reply.Close()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := admission(1)
			w := &worker{}
			h := a.Before(rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
				if c.Target.Own == "panic" {
					panic("in the adapter")
				}
				return w.Handle(ctx, c)
			}))
			for range 3 {
				if err := end(t.Context(), h); err != nil {
					t.Fatal(err)
				}
			}
			if s := a.Status(); s.InFlight != 0 || s.Waiting != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// A call of several rounds is made again before its last round is closed: it must not wait for itself.
func TestACallThatIsMadeAgainDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	h := admission(1).Before(&worker{})
	first, err := h.Handle(t.Context(), callOf("a", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(); err != nil {
		t.Fatal(err)
	}
	if err := finish(t.Context(), h, callOf("a", 0)); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// Notifications have no end that could be seen, and wait for nobody.
func TestNotificationsPass(t *testing.T) {
	t.Parallel()
	a := admission(1)
	h := a.Before(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }))
	for range 3 {
		c := callOf("a", 0)
		c.Message = rpc.NewNotification("notifications/roots/list_changed", nil)
		if _, err := h.Handle(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// What the gateway asks for itself waits for nobody.
func TestTheGatewaysOwnCallsPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := admission(1)
		h := a.Before(&worker{})
		end := crowd(t, h, "a", 5, always(time.Second))
		synctest.Wait()
		own := callOf("", time.Millisecond)
		own.Record = nil
		began := time.Now()
		if err := finish(t.Context(), h, own); err != nil || time.Since(began) != time.Millisecond {
			t.Errorf("it took %v: %v", time.Since(began), err)
		}
		if s := a.Status(); s.InFlight != 1 || s.Waiting != 4 {
			t.Errorf("status %+v", s)
		}
		end()
	})
}

// Who shares a place in the turn: organisations, keys and users without one, and whom an address belongs to.
func TestWhoIsATenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := admission(1)
		h := a.Before(&worker{})
		end := crowd(t, h, "first", 1, always(time.Second))
		synctest.Wait()
		var all sync.WaitGroup
		for _, who := range []struct {
			rpc.Principal
			address string
		}{
			{rpc.Principal{Org: "acme", Key: "a"}, "192.0.2.1:1"},
			{rpc.Principal{Org: "acme", Key: "b", User: "u"}, "192.0.2.2:1"},
			{rpc.Principal{Key: "a", User: "u"}, "192.0.2.1:1"},
			{rpc.Principal{User: "acme"}, "192.0.2.1:1"},
			{rpc.Principal{}, "192.0.2.1:1"},
			{rpc.Principal{}, "[::ffff:192.0.2.1]:2"},
			{rpc.Principal{}, "[2001:db8::1]:1"},
			{rpc.Principal{}, "[2001:db8::ffff:2]:1"},
			{rpc.Principal{}, "[2001:db8:0:1::1]:1"},
		} {
			all.Go(func() {
				c := callOf("", time.Millisecond)
				c.Principal, c.Remote = who.Principal, netip.MustParseAddrPort(who.address)
				if err := finish(t.Context(), h, c); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		got := map[string]int{}
		for _, each := range a.Status().Tenants {
			got[each.Tenant] = each.Waiting
		}
		want := map[string]int{
			"org:acme": 2, "key:a": 1, "user:acme": 1, "address:192.0.2.1": 2, "address:2001:db8::": 2, "address:2001:db8:0:1::": 1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tenants (-want +got):\n%s", diff)
		}
		all.Wait()
		end()
	})
}

func TestTheStatusSaysWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := admission(1, config.Priority{Who: config.Who{Org: "b"}, Band: "batch", Weight: 5})
		h := a.Before(&worker{})
		var ends []func() []time.Duration
		for _, org := range []string{"a", "b", "a", "a"} {
			ends = append(ends, crowd(t, h, org, 1, always(10*time.Second)))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		got := a.Status()
		for _, cause := range upstream.ShedCauses() {
			if n, ok := got.Shed[cause]; !ok || n != 0 {
				t.Errorf("%s: %d, %t", cause, n, ok)
			}
		}
		got.Shed = nil
		want := upstream.QueueStatus{
			Upstream: "render", Limit: 1, InFlight: 1, Waiting: 3, Size: 1 << 20, Oldest: 3 * time.Second,
			Bands: []upstream.BandStatus{{Band: "interactive"}, {Band: "default", Waiting: 2, Oldest: 2 * time.Second}, {Band: "batch", Waiting: 1, Oldest: 3 * time.Second}},
			Tenants: []upstream.TenantStatus{
				{Tenant: "org:a", Band: "default", Weight: 1, Waiting: 2, Oldest: 2 * time.Second},
				{Tenant: "org:b", Band: "batch", Weight: 5, Waiting: 1, Oldest: 3 * time.Second},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for _, end := range ends {
			end()
		}
	})
}
