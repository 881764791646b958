package bridge

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/headgate/headgate/rpc"
)

// View is what operators are shown of a call that is parked until its client comes back.
type View struct {
	ID   uint64    // good for [Bridge.GiveUp]; it tells nothing of what the client brings back
	Call *rpc.Call // as it was made; not to be changed
	Asks string    // the method of the first question without an answer
}

// Views returns the calls that wait for their clients, in no order.
func (b *Bridge) Views() []View {
	var out []View
	for _, p := range b.lot.all() {
		p.mu.Lock()
		if !p.ended && p.turn.outcome != nil && len(p.open) > 0 {
			out = append(out, View{ID: p.shown(), Call: p.call, Asks: p.open[0].method})
		}
		p.mu.Unlock()
	}
	return out
}

// GiveUp ends a parked call for a cause, as if its time were over. It returns false if there is
// none with this id.
func (b *Bridge) GiveUp(id uint64, cause error) bool {
	for _, p := range b.lot.all() {
		if p.shown() == id {
			p.giveUp(anyRound, cause)
			return true
		}
	}
	return false
}

// shown is what operators know a call by, from which its own id cannot be found out.
func (p *parked) shown() uint64 {
	sum := sha256.Sum256([]byte(p.id))
	return binary.BigEndian.Uint64(sum[:])
}

func (l *lot) all() []*parked {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*parked, 0, len(l.calls))
	for _, p := range l.calls {
		out = append(out, p)
	}
	return out
}
