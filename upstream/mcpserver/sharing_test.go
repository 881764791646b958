package mcpserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
)

// seatOnly is a link that only takes up a seat.
type seatOnly struct {
	link
	dead, inUse bool
}

func (l *seatOnly) alive() bool         { return !l.dead }
func (l *seatOnly) busy() bool          { return l.inUse }
func (*seatOnly) close(context.Context) {}

func TestCorner5_35_KeysOfCalls(t *testing.T) {
	t.Parallel()
	nameless := asking("")
	for name, test := range map[string]struct {
		client rpc.Client
		era    rpc.Era
		want   linkKey
	}{
		"nothing to ask":        {legacyClient(), rpc.Legacy, linkKey{}},
		"can be asked":          {asking("a"), rpc.Legacy, linkKey{session: "a", features: `{"elicitation":{},"roots":{"listChanged":true}}`}},
		"has no session":        {nameless, rpc.Legacy, linkKey{}},
		"modern upstream":       {asking("a"), rpc.Modern, linkKey{era: rpc.Modern}},
		"modern client":         {rpc.Client{Era: rpc.Modern, Session: "a", Capabilities: asking("a").Capabilities}, rpc.Legacy, linkKey{owner: ownerOf(&rpc.Principal{}), features: `{"elicitation":{},"roots":{}}`}},
		"modern on both sides":  {modernClient(), rpc.Modern, linkKey{era: rpc.Modern}},
		"the gateway's own":     {rpc.Client{Era: rpc.Modern}, rpc.Legacy, linkKey{}},
		"no capabilities given": {rpc.Client{Session: "a"}, rpc.Legacy, linkKey{}},
	} {
		if got := keyOf(&rpc.Call{Client: test.client}, test.era); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTooManyPrivateLinks(t *testing.T) {
	t.Parallel()
	var table links
	defer table.end()
	key := func(i int) linkKey { return linkKey{session: fmt.Sprint(i), features: "{}"} }
	var all []*seatOnly
	for i := range maxPrivate {
		l := &seatOnly{inUse: i != 7}
		all = append(all, l)
		if gone, ok := table.add(key(i), l, func() {}); !ok || gone != nil {
			t.Fatalf("link %d: %v %v", i, gone, ok)
		}
	}
	if _, ok := table.add(linkKey{}, &seatOnly{}, func() {}); !ok {
		t.Error("shared links do not count")
	}
	gone, ok := table.add(key(100), &seatOnly{inUse: true}, func() {})
	if !ok || len(gone) != 1 || gone[0] != all[7] {
		t.Errorf("the idle one was not taken: %v", gone)
	}
	if _, ok := table.add(key(101), &seatOnly{}, func() {}); ok {
		t.Error("one more than there may be")
	}
	if table.find(key(7)) != nil || table.find(key(8)) == nil {
		t.Error("the wrong one was taken")
	}
}

func TestIdlePrivateLinksEnd(t *testing.T) {
	t.Parallel()
	var table links
	defer table.end()
	idle, busy, shared := &seatOnly{}, &seatOnly{inUse: true}, &seatOnly{}
	table.add(linkKey{session: "idle", features: "{}"}, idle, func() {})
	table.add(linkKey{session: "busy", features: "{}"}, busy, func() {})
	table.add(linkKey{}, shared, func() {})
	if gone := table.expire(time.Now()); gone != nil {
		t.Errorf("%v", gone)
	}
	if gone := table.expire(time.Now().Add(privateIdle)); len(gone) != 1 || gone[0] != idle {
		t.Errorf("%v", gone)
	}
	if len(table.open) != 2 {
		t.Errorf("%d left", len(table.open))
	}
}

func TestTableOfLinks(t *testing.T) {
	t.Parallel()
	var table links
	k := linkKey{era: rpc.Modern}
	first, second := &seatOnly{}, &seatOnly{}
	table.add(k, first, nil)
	first.dead = true
	if table.find(k) != nil {
		t.Error("a dead link was found")
	}
	if gone, ok := table.add(k, second, nil); !ok || len(gone) != 1 || gone[0] != first {
		t.Errorf("%v %v", gone, ok)
	}
	if table.remove(k, first) || table.forget(first) || !table.forget(second) {
		t.Error("the wrong link was removed")
	}
	if gone := table.end(); len(gone) != 0 {
		t.Errorf("%v", gone)
	}
	if _, ok := table.add(k, second, nil); ok {
		t.Error("a closed table took a link")
	}
}
