package upstream

import (
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

func TestWeights(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{Balance: Weighted}, 90, 10)
	const n = 20_000
	for range n {
		if err := call(p); err != nil {
			t.Fatal(err)
		}
	}
	if share := float64(s[1].calls) / n; share < 0.093 || share > 0.107 { // 3.3 standard deviations
		t.Errorf("the canary got %.3f of the calls, want 0.1", share)
	}
}

func TestLeastLoadedAvoidsTheBusy(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 1, 1, 1)
	s[0].do = hangs
	var open []*rpc.Reply
	for range 300 {
		reply, err := p.Handle(t.Context(), aCall)
		if err != nil {
			t.Fatal(err)
		}
		if _, slow := any(reply).(*rpc.Reply); slow && s[0].calls > len(open) {
			open = append(open, reply)
			continue
		}
		_ = reply.Close()
	}
	if len(open) > 3 {
		t.Errorf("the backend that never answers got %d of 300 calls", len(open))
	}
	for _, r := range open {
		_ = r.Close()
	}
	for _, b := range p.Status() {
		if b.InFlight != 0 {
			t.Errorf("%s has %d in flight", b.Backend, b.InFlight)
		}
	}
}

func TestWeightsAreCapacitiesForTheLeastLoaded(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{}, 3, 1)
	for _, b := range s {
		b.do = hangs
	}
	var open []*rpc.Reply
	for range 400 {
		reply, err := p.Handle(t.Context(), aCall)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, reply)
	}
	if s[0].calls < 299 || s[0].calls > 301 {
		t.Errorf("%d and %d in flight, want 3:1", s[0].calls, s[1].calls)
	}
	for _, r := range open {
		_ = r.Close()
	}
}

func TestSlowStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newPool(PoolConfig{Balance: Weighted, SlowStart: 10 * time.Second}, 1, 1)
		share := func() float64 {
			before, all := s[1].calls, total(s)
			for range 10_000 {
				_ = call(p)
			}
			return float64(s[1].calls-before) / float64(total(s)-all)
		}
		if got := share(); got < 0.48 {
			t.Errorf("at the start of all it gets %.2f", got)
		}
		(*p.backends.Load())[1].rise(p.now())
		for _, want := range []float64{0.1 / 1.1, 0.2 / 1.2, 0.4 / 1.4, 0.6 / 1.6, 0.8 / 1.8, 0.5} {
			if got := share(); got < want-0.02 || got > want+0.02 {
				t.Errorf("after %v it gets %.3f, want %.3f", time.Duration(p.now()), got, want)
			}
			time.Sleep(2 * time.Second)
		}
		if got := p.Status()[1].Share; got != 1 {
			t.Errorf("its share is %v in the end", got)
		}
	})
}

func TestConsistentHash(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{Balance: ConsistentHash}, 1, 1, 1, 1)
	caller := func(i int) *rpc.Call {
		c := *aCall
		c.Principal.User = strconv.Itoa(i)
		return &c
	}
	at := func(i int) string {
		c := caller(i)
		b := p.choose(t.Context(), c, &Tried{})
		return b.ID()
	}
	const callers = 4000
	before := make([]string, callers)
	shares := map[string]int{}
	for i := range callers {
		before[i] = at(i)
		shares[before[i]]++
	}
	for id, n := range shares {
		if n < callers/4-200 || n > callers/4+200 {
			t.Errorf("%s has %d of %d callers", id, n, callers)
		}
	}
	gone := s[1].id
	p.Remove((*p.backends.Load())[1])
	for i := range callers {
		if now := at(i); now != before[i] && before[i] != gone {
			t.Fatalf("caller %d moved from %s to %s, though %s left", i, before[i], now, gone)
		}
	}
	one := *aCall
	one.Remote = netip.MustParseAddrPort("192.0.2.1:1")
	two := one
	two.Remote = netip.MustParseAddrPort("192.0.2.1:2")
	if p.choose(t.Context(), &one, &Tried{}) != p.choose(t.Context(), &two, &Tried{}) {
		t.Error("one client is sent to two places")
	}
}

// However many calls one caller makes, no backend has more than 1.25 of the mean.
func TestConsistentHashIsBounded(t *testing.T) {
	t.Parallel()
	p, s := newPool(PoolConfig{Balance: ConsistentHash}, 1, 1, 1, 1)
	for _, b := range s {
		b.do = hangs
	}
	var open []*rpc.Reply
	for n := 1; n <= 400; n++ {
		reply, err := p.Handle(t.Context(), aCall)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, reply)
		for _, b := range s {
			if most := 1 + n*5/16; b.calls > most {
				t.Fatalf("of %d calls one has %d", n, b.calls)
			}
		}
	}
	for _, r := range open {
		_ = r.Close()
	}
}
