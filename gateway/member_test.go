package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
)

// counted is a member before a handler of the test's.
func counted(next, instead rpc.HandlerFunc) *member {
	return &member{tenure: newTenure(next, instead)}
}

func answers(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }

// A member ends when the last reply that holds it is closed, and calls that come later go elsewhere.
func TestAMemberPartsWhenNothingHoldsIt(t *testing.T) {
	t.Parallel()
	elsewhere := errors.New("elsewhere")
	m := counted(answers, func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, elsewhere })
	first, err := m.Handle(t.Context(), &rpc.Call{})
	if err != nil {
		t.Fatal(err)
	}
	parted := make(chan bool)
	go func() { parted <- m.part(t.Context()) }()
	for !m.parting.Load() {
		time.Sleep(time.Millisecond)
	}
	second, err := m.Handle(t.Context(), &rpc.Call{}) // of who was on the way
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	_ = first.Close()
	select {
	case <-parted:
		t.Fatal("it ended while a reply held it")
	case <-time.After(50 * time.Millisecond):
	}
	_ = second.Close()
	if !<-parted {
		t.Error("it did not end by itself")
	}
	if _, err := m.Handle(t.Context(), &rpc.Call{}); !errors.Is(err, elsewhere) {
		t.Errorf("after the end: %v", err)
	}
}

// Calls that fail, and those that panic, do not hold a member.
func TestCallsWithoutRepliesHoldNothing(t *testing.T) {
	t.Parallel()
	m := counted(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Endpoint == "panic" {
			panic("of the test")
		}
		return nil, errors.New("failed")
	}, answers)
	_, _ = m.Handle(t.Context(), &rpc.Call{})
	func() {
		defer func() { _ = recover() }()
		_, _ = m.Handle(t.Context(), &rpc.Call{Endpoint: "panic"})
	}()
	if !m.part(t.Context()) {
		t.Error("something holds it")
	}
}

// One that is held for too long ends nevertheless.
func TestAMemberIsNotHeldForEver(t *testing.T) {
	t.Parallel()
	m := counted(answers, answers)
	reply, err := m.Handle(t.Context(), &rpc.Call{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m.part(ctx) {
		t.Error("it says that nothing held it")
	}
	_ = reply.Close()
	if _, err := m.Handle(t.Context(), &rpc.Call{}); err != nil {
		t.Errorf("whoever comes later is not sent elsewhere: %v", err)
	}
}

// However calls and the end fall together, each call is served once, and no reply is open in the end.
func TestMembersPartUnderLoad(t *testing.T) {
	t.Parallel()
	for range 200 {
		var here, there atomic.Int64
		m := counted(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) { here.Add(1); return answers(ctx, c) },
			func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) { there.Add(1); return answers(ctx, c) })
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 20 {
					if reply, err := m.Handle(t.Context(), &rpc.Call{}); err == nil {
						_ = reply.Close()
					}
				}
			})
		}
		if !m.part(t.Context()) {
			t.Fatal("it is held")
		}
		all.Wait()
		if here.Load()+there.Load() != 160 {
			t.Fatalf("%d and %d calls were served", here.Load(), there.Load())
		}
	}
}

func BenchmarkMember(b *testing.B) {
	for _, bench := range []struct {
		name string
		next rpc.Handler
	}{
		{"without", rpc.HandlerFunc(answers)},
		{"counted", counted(answers, answers)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := bench.next.Handle(b.Context(), nil)
					if err != nil {
						b.Fatal(err)
					}
					_ = r.Close()
				}
			})
		})
	}
}
