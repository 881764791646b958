package upstream

import (
	"strings"
	"testing"
	"time"
)

// A tenant whose calls take now longer and now less long than they are taken to saves nothing up while it is alone: who comes
// then is served in turn, also where all places come free at once.
func TestNothingIsSavedUpAlone(t *testing.T) {
	t.Parallel()
	const slots = 8
	q := newQueue(time.Hour)
	now := time.Now()
	push := func(name string, n int) {
		for range n {
			q.push(&waiter{tenant: tenant{kind: anOrg, name: name}, band: normal, weight: 1, since: now})
		}
	}
	var running []*slot
	wave := func(took time.Duration) (began string) {
		now = now.Add(took)
		ended := running
		running = nil
		for i := range slots {
			if len(ended) > 0 {
				q.learn(ended[i], now)
			}
			w := q.next(now)
			running = append(running, &slot{tenant: w.tenant, band: w.band, began: now, charged: w.cost})
			began += w.tenant.name
		}
		return began
	}
	push("a", 20*slots)
	for _, took := range []time.Duration{0, 100, 100, 20, 100, 100, 20} {
		wave(took * time.Millisecond)
	}
	push("b", slots)
	if began := wave(20 * time.Millisecond); strings.Count(began, "b") != slots/2 {
		t.Errorf("first there are served %s", began)
	}
}
