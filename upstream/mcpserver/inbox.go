package mcpserver

import (
	"errors"
	"sync"

	"github.com/headgate/headgate/rpc"
)

// maxWaiting bounds the messages that wait for one call's client. A client that reads slowly must
// not fill the memory, nor hold up the reader that other calls share.
const maxWaiting = 512

// errCallClosed is what a waiting Next returns when its reply is closed.
var errCallClosed = errors.New("the call was closed")

// parcel is a message and the buffer its bytes lie in.
type parcel struct {
	message *rpc.Message
	buffer  *buffer
}

// inbox holds what arrived for a call on a connection that is shared with other
// calls, until its client takes it. The zero value is ready. One goroutine takes,
// any number put.
type inbox struct {
	mu      sync.Mutex
	waiting []parcel
	bytes   int
	limit   int // bytes that may wait, beside a response
	failure error
	closed  bool
	signal  chan struct{} // made by the first who waits
}

// put adds a message and reports whether it was taken. A response is always taken
// while the inbox is open; of the rest, as much as the bounds allow.
func (b *inbox) put(p parcel) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := len(p.buffer.bytes)
	full := len(b.waiting) >= maxWaiting || b.bytes+size > b.limit
	if b.closed || full && !p.message.IsResponse() {
		return false
	}
	b.waiting = append(b.waiting, p)
	b.bytes += size
	b.wake()
	return true
}

// fail ends the inbox with an error, which is seen after the messages.
func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		b.failure = err
		b.wake()
	}
}

// next takes the oldest message. If there is none it returns the failure, or a
// channel that says when to look again.
func (b *inbox) next() (p parcel, again <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		p := b.waiting[0]
		b.waiting[0] = parcel{}
		b.waiting = b.waiting[1:]
		b.bytes -= len(p.buffer.bytes)
		return p, nil, nil
	}
	if b.signal == nil {
		b.signal = make(chan struct{}, 1)
	}
	return parcel{}, b.signal, b.failure
}

// close refuses what comes from now on, wakes who waits, and gives back what nobody
// will take. Of that it returns the questions.
func (b *inbox) close(p *pool) (questions []rpc.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, w := range b.waiting {
		if w.message.IsRequest() {
			questions = append(questions, w.message.ID)
		}
		p.put(w.buffer)
	}
	b.waiting = nil
	if b.failure == nil {
		b.failure = errCallClosed
	}
	b.wake()
	return questions
}

func (b *inbox) wake() {
	if b.signal == nil {
		return
	}
	select {
	case b.signal <- struct{}{}:
	default:
	}
}
