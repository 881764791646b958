package bridge

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	// quiet is how long a server must ask nothing more until its client is asked, so that
	// questions that it asks together are answered together.
	quiet = 20 * time.Millisecond
	// linger is how long the answer of a call is kept for a client that repeats itself.
	linger = 30 * time.Second
	// maxNotes and maxNoteBytes bound the notifications that wait for a client.
	maxNotes     = 128
	maxNoteBytes = 256 << 10
)

// parked is a call of a modern client to a legacy server that goes on while the client
// is between two requests. One goroutine takes what the server sends; the requests
// of the client attach to it, one round after the other.
type parked struct {
	id      string
	owner   string
	bridge  *Bridge
	lot     *lot
	call    *rpc.Call // as it was made
	reply   *rpc.Reply
	using   sync.Mutex // held while a message of the reply is used
	closed  bool       // the reply was, before its end
	release func(error)
	stake   rpc.Stake // what the call holds of limits until it ends; nil if nothing

	mu       sync.Mutex
	turn     *turn     // the round that runs or ran last
	round    int       // its number
	attached int       // requests that wait for its outcome
	open     []pending // questions without an answer
	asked    int       // how many there ever were
	askedAt  time.Time // when the last of them came
	notes    []*rpc.Message
	size     int // of the notes, in bytes
	response *rpc.Message
	failure  error
	ended    bool
	changed  chan struct{} // closed and made anew whenever any of this changes
	timer    *time.Timer   // until the client has to be back, or the answer is forgotten
}

// turn is what one round comes to. Both are nil until then.
type turn struct {
	outcome *rpc.Message
	failure error
}

// pending is a question that waits for the client's answer.
type pending struct {
	key     string // in inputRequests; never used twice in a call
	id      rpc.ID
	method  string
	page    string // to visit; empty for none
	request []byte
}

// pump takes what the server sends until it has answered.
func (p *parked) pump() {
	defer p.lot.work.Done()
	for {
		m, err := p.pull()
		if !p.use(m, err) || err != nil || m.IsResponse() {
			return
		}
	}
}

// use takes a message unless the reply was closed by who gave the call up: messages are good until then.
func (p *parked) use(m *rpc.Message, err error) bool {
	p.using.Lock()
	defer p.using.Unlock()
	if !p.closed {
		p.take(m, err)
	}
	return !p.closed
}

// abandon closes the reply of a call that was given up, when no message of it is in use.
func (p *parked) abandon() {
	p.using.Lock()
	p.closed = true
	p.using.Unlock()
	_ = p.reply.Close()
}

// pull reads the next message. Who pulls recovers from panics.
func (p *parked) pull() (m *rpc.Message, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &rpc.Error{Code: rpc.Internal, Message: "internal error", Cause: fmt.Errorf("panic: %v", v)}
		}
	}()
	return p.reply.Next()
}

// take records what the server sent.
func (p *parked) take(m *rpc.Message, err error) {
	if err == nil && m.IsRequest() {
		request, ok := toInputRequest(p.call.Client, m)
		if !ok || !p.ask(m, request) {
			_ = p.reply.Answer(refusal(m.ID))
		}
		return
	}
	if err == nil {
		switch m.Method {
		case mcp.ElicitationComplete:
			p.visited(m)
			return
		case mcp.Cancelled:
			p.recall(m)
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.failure = err
	case m.IsResponse():
		p.response = m.Clone()
	case len(p.notes) >= maxNotes || p.size+m.Size() > maxNoteBytes:
		return
	default:
		note := m.Clone()
		p.notes = append(p.notes, note)
		p.size += note.Size()
	}
	p.wake()
}

// visited answers a question whose page was visited to its end, which nobody does who has
// not consented: the call goes on before its client is back.
func (p *parked) visited(m *rpc.Message) {
	page, _ := m.Text("elicitationId")
	p.mu.Lock()
	i := slices.IndexFunc(p.open, func(q pending) bool { return q.page != "" && q.page == page })
	if i < 0 {
		p.mu.Unlock()
		return
	}
	id := p.open[i].id
	p.open = slices.Delete(p.open, i, i+1)
	p.wake()
	p.mu.Unlock()
	_ = p.reply.Answer(rpc.NewResult(id, []byte(`{"action":"accept"}`))) // who ended meanwhile needs none
}

// recall forgets a question that its server has taken back. A client that answers it
// nevertheless is not heard.
func (p *parked) recall(m *rpc.Message) {
	id, ok := mcp.CancelledID(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.open = slices.DeleteFunc(p.open, func(q pending) bool { return q.id.Key() == id.Key() })
		p.wake()
	}
}

// wake tells all who wait that something changed. The lock is held.
func (p *parked) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// ask adds a question to those that the client is asked next, and reports whether
// there was room for it.
func (p *parked) ask(q *rpc.Message, request []byte) bool {
	id, err := rpc.ParseID([]byte(q.ID.Raw()))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || len(p.open) >= maxQuestions || p.ended {
		return false
	}
	p.asked++
	page := ""
	if mode, _ := q.Text("mode"); q.Method == mcp.ElicitationCreate && mode == "url" {
		page, _ = q.Text("elicitationId")
	}
	p.open = append(p.open, pending{"q" + strconv.Itoa(p.asked), id, q.Method, page, slices.Clone(request)})
	p.askedAt = time.Now()
	p.wake()
	return true
}

// settle ends the round with what there is, if that is an outcome, and returns how long
// to wait before looking again; 0 for until something changes. The lock is held.
func (p *parked) settle() time.Duration {
	switch t := p.turn; {
	case t.outcome != nil || t.failure != nil:
	case p.failure != nil:
		t.failure = p.failure
		p.finish()
	case p.response != nil:
		t.outcome = p.response
		p.finish()
	case len(p.open) > 0:
		if left := quiet - time.Since(p.askedAt); left > 0 {
			return left
		}
		p.wait()
	}
	return 0
}

// wait ends the round with the open questions. From now on the client has time.
func (p *parked) wait() {
	requests := make([]answer, 0, len(p.open))
	for _, q := range p.open {
		requests = append(requests, answer{q.key, q.request})
	}
	until := time.Now().Add(p.lot.cfg.Parking)
	state := p.bridge.seal(p.call, handle{Kind: parkedCall, Expires: until, Call: p.id, Round: p.round})
	p.turn.outcome = needs(p.call.Message.ID, requests, state)
	round := p.round
	p.timer = time.AfterFunc(p.lot.cfg.Parking, func() { p.lapse(round) })
	p.wake()
}

// finish ends the call upstream. Its answer is kept for a while.
func (p *parked) finish() {
	p.ended = true
	p.lot.finished(p)
	p.timer = time.AfterFunc(linger, func() { p.lot.leave(p) })
	_ = p.reply.Close()
	p.release(nil)
	p.wake()
}

// lapse gives up a call whose client did not come back in time.
func (p *parked) lapse(round int) {
	p.giveUp(round, rpc.Errorf(rpc.Cancelled, "the client did not come back within %v", p.lot.cfg.Parking))
}

// anyRound is for giveUp where it does not matter how far the call has come.
const anyRound = -1

// giveUp ends a call before its server has answered, if it still is in the round: what the
// server asks is answered for the client, and the call is cancelled.
func (p *parked) giveUp(round int, cause error) {
	p.mu.Lock()
	if p.ended || round != anyRound && round != p.round {
		p.mu.Unlock()
		return
	}
	p.ended = true
	open := p.open
	p.open = nil
	if p.turn.outcome == nil {
		p.turn.failure = cause
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.wake()
	p.mu.Unlock()
	p.lot.leave(p)
	p.lot.finished(p)
	for _, q := range open {
		_ = p.reply.Answer(giveUpOn(q.id, q.method))
	}
	p.release(cause)
	p.abandon()
}
