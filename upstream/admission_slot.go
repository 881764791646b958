package upstream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// slot is the place of a call among those that run, and the source of its reply.
type slot struct {
	of      *Admission
	reply   *rpc.Reply
	call    *rpc.Call // of which a meter says what it cost; nil without one
	tenant  tenant
	band    int         // in which it waited, if it did
	began   time.Time   // when the call got the slot
	charged int64       // what its tenant paid; 0 where it did not wait
	free    atomic.Bool // the slot was given back
}

var _ rpc.Source = (*slot)(nil)

// serve makes the call that has the slot.
func (s *slot) serve(ctx context.Context, c *rpc.Call, next rpc.Handler) (*rpc.Reply, error) {
	served := false
	defer func() {
		if !served { // also where it panics
			s.give()
		}
	}()
	reply, err := next.Handle(ctx, c)
	if err != nil {
		return nil, err
	}
	served = true
	s.reply = reply
	out := rpc.NewReply(s)
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}

func (s *slot) give() {
	if !s.free.Swap(true) {
		s.of.give(s)
	}
}

// Next implements [rpc.Source]. The upstream is done with a call when it has answered it, whatever the client then does.
func (s *slot) Next() (*rpc.Message, error) {
	m, err := s.reply.Next()
	if err != nil || m.IsResponse() {
		s.give()
	}
	return m, err
}

// Answer implements [rpc.Source].
func (s *slot) Answer(m *rpc.Message) error { return s.reply.Answer(m) }

// Close implements [rpc.Source].
func (s *slot) Close() error {
	defer s.give() // also where it panics
	return s.reply.Close()
}
