package mcpserver

import (
	"errors"
	"io"
	"sync"

	"github.com/headgate/headgate/rpc/frame"
)

// Bounds of what waits for a peer that does not read.
const (
	maxQueuedBytes    = 32 << 20
	maxQueuedMessages = 4096
	batchBytes        = 64 << 10 // lines are written together up to this size
)

var (
	errQueueFull   = errors.New("too much waits to be written")
	errQueueClosed = errors.New("the queue is closed")
)

// outbox holds the messages that a peer has yet to read. One that is busy may leave
// its input unread for long: nobody waits for it here, and a call that is given up
// before its message was begun is never seen by the peer.
type outbox struct {
	pool *pool
	wake chan struct{}

	mu      sync.Mutex
	waiting []outgoing
	bytes   int
	closed  bool
}

type outgoing struct {
	id     uint64 // of the call; 0 for what cannot be withdrawn
	buffer *buffer
}

func newOutbox(p *pool) *outbox {
	return &outbox{pool: p, wake: make(chan struct{}, 1)}
}

// push adds a message. The queue owns the buffer from now on, whatever it returns.
func (q *outbox) push(id uint64, b *buffer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := len(q.waiting) >= maxQueuedMessages || len(q.waiting) > 0 && q.bytes+len(b.bytes) > maxQueuedBytes
	if q.closed || full {
		q.pool.put(b)
		if q.closed {
			return errQueueClosed
		}
		return errQueueFull
	}
	q.waiting = append(q.waiting, outgoing{id, b})
	q.bytes += len(b.bytes)
	q.signal()
	return nil
}

// withdraw removes a call's message and reports whether that was still possible.
func (q *outbox) withdraw(id uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, l := range q.waiting {
		if l.id == id {
			q.bytes -= len(l.buffer.bytes)
			q.pool.put(l.buffer)
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// close ends run once it has nothing in hand, and drops what waits.
func (q *outbox) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, l := range q.waiting {
		q.pool.put(l.buffer)
	}
	q.waiting, q.bytes = nil, 0
	q.signal()
}

func (q *outbox) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop takes the oldest message, waiting until there is one. It reports false when the
// outbox is closed. Only one goroutine may take messages.
func (q *outbox) pop() (m outgoing, open bool) {
	for {
		q.mu.Lock()
		if len(q.waiting) > 0 {
			m = q.waiting[0]
			q.bytes -= len(m.buffer.bytes)
			q.remove(1)
		}
		open = !q.closed
		q.mu.Unlock()
		if m.buffer != nil || !open {
			return m, open
		}
		<-q.wake
	}
}

// lines writes messages as lines until the outbox is closed or w fails.
func (q *outbox) lines(w io.Writer) error {
	var batch []byte
	for {
		var open bool
		if batch, open = q.take(batch[:0]); !open {
			return nil
		}
		if len(batch) == 0 {
			<-q.wake
			continue
		}
		if _, err := w.Write(batch); err != nil {
			return err
		}
		if cap(batch) > maxPooled {
			batch = nil
		}
	}
}

// take moves the oldest messages into dst, as lines.
func (q *outbox) take(dst []byte) (batch []byte, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.waiting) && (n == 0 || len(dst)+len(q.waiting[n].buffer.bytes) < batchBytes) {
		b := q.waiting[n].buffer
		dst = frame.AppendLine(dst, b.bytes)
		q.bytes -= len(b.bytes)
		q.pool.put(b)
		n++
	}
	q.remove(n)
	return dst, !q.closed
}

// remove drops the oldest n messages, which have been accounted for.
func (q *outbox) remove(n int) {
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
}
