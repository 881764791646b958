package mcpserver

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
)

// maxLanes is how many links the modern clients of one principal that can be asked the
// same things have at a time. Further calls wait.
const maxLanes = 16

// lanes gives out links on which a legacy server can ask modern clients something. A
// question need not say which call it belongs to, and modern clients have no session that would tell
// them apart, so such a link serves one call at a time. The zero value is ready.
type lanes struct {
	mu    sync.Mutex
	kinds map[linkKey]*laneKind // by the key of lane 0
}

// laneKind is the lanes of one kind of client.
type laneKind struct {
	taken   [maxLanes]bool
	count   int
	waiting []chan int // each gets the number of a lane, which is then its own
}

// ownerOf is a digest of who calls, without what changes when a credential is renewed.
func ownerOf(p *rpc.Principal) string {
	var space [128]byte
	sum := sha256.Sum256(p.AppendIdentity(space[:0]))
	return string(sum[:16])
}

// take returns the key of a lane that is the caller's until it gives it back. Keys of
// links that calls share are returned as they are.
func (t *lanes) take(ctx context.Context, k linkKey) (linkKey, error) {
	if k.owner == "" {
		return k, nil
	}
	lane, turn := t.find(k)
	if turn == nil {
		k.lane = lane
		return k, nil
	}
	select {
	case k.lane = <-turn:
		return k, nil
	case <-ctx.Done():
		t.leave(k, turn)
		return k, context.Cause(ctx)
	}
}

// find takes the first free lane, or returns where to wait for one.
func (t *lanes) find(k linkKey) (lane int, turn chan int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := t.kinds[k]
	if kind == nil {
		kind = &laneKind{}
		if t.kinds == nil {
			t.kinds = make(map[linkKey]*laneKind)
		}
		t.kinds[k] = kind
	}
	lane = slices.Index(kind.taken[:], false)
	if lane < 0 {
		turn = make(chan int, 1)
		kind.waiting = append(kind.waiting, turn)
		return 0, turn
	}
	kind.taken[lane] = true
	kind.count++
	return lane, nil
}

// leave stops waiting. A lane that came at the last moment is given back.
func (t *lanes) leave(k linkKey, turn chan int) {
	t.mu.Lock()
	if kind := t.kinds[k]; kind != nil {
		kind.waiting = slices.DeleteFunc(kind.waiting, func(c chan int) bool { return c == turn })
	}
	t.mu.Unlock()
	select {
	case k.lane = <-turn:
		t.give(k)
	default:
	}
}

// give passes a lane on to who waited longest.
func (t *lanes) give(k linkKey) {
	if k.owner == "" {
		return
	}
	lane := k.lane
	k.lane = 0
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := t.kinds[k]
	if len(kind.waiting) > 0 {
		kind.waiting[0] <- lane
		kind.waiting = kind.waiting[1:]
		return
	}
	kind.taken[lane] = false
	if kind.count--; kind.count == 0 {
		delete(t.kinds, k)
	}
}

// laneCall is the reply to a call that has a lane to itself.
type laneCall struct {
	rpc.Source
	ended atomic.Bool // the response was seen, so that nothing more of this call will come
	leave func(ended bool)
}

// Next implements [rpc.Source].
func (c *laneCall) Next() (*rpc.Message, error) {
	m, err := c.Source.Next()
	if err == nil && m.IsResponse() || rpc.IsEnd(err) {
		c.ended.Store(true)
	}
	return m, err
}

// Close implements [rpc.Source].
func (c *laneCall) Close() error {
	err := c.Source.Close()
	c.leave(c.ended.Load())
	return err
}

// inLane returns a source that gives the lane back when it is closed. After a call
// without a response the server may still ask on its behalf, so the link goes too: the
// next call there can be another user's.
func (s *Server) inLane(k linkKey, l link, source rpc.Source) rpc.Source {
	if k.owner == "" {
		return source
	}
	return &laneCall{Source: source, leave: func(ended bool) {
		if !ended && s.links.remove(k, l) {
			s.retire([]link{l})
		}
		s.lanes.give(k)
	}}
}
