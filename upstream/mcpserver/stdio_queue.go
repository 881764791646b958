package mcpserver

import (
	"errors"
	"io"
	"sync"

	"github.com/headgate/headgate/rpc/frame"
)

// Bounds of what waits for a process that does not read its input.
const (
	maxQueuedBytes = 32 << 20
	maxQueuedLines = 4096
	batchBytes     = 64 << 10 // lines are written together up to this size
)

var (
	errQueueFull   = errors.New("too much waits to be written")
	errQueueClosed = errors.New("the queue is closed")
)

// lineQueue holds the messages that a process has yet to read. A process that is busy may leave
// its input unread for long: nobody waits for it here, and a call that is given up
// before its line was begun is never seen by the process.
type lineQueue struct {
	pool *pool
	wake chan struct{}

	mu      sync.Mutex
	waiting []queuedLine
	bytes   int
	closed  bool
}

type queuedLine struct {
	id     uint64 // of the call; 0 for what cannot be withdrawn
	buffer *buffer
}

func newLineQueue(p *pool) *lineQueue {
	return &lineQueue{pool: p, wake: make(chan struct{}, 1)}
}

// push adds a message. The queue owns the buffer from now on, whatever it returns.
func (q *lineQueue) push(id uint64, b *buffer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := len(q.waiting) >= maxQueuedLines || len(q.waiting) > 0 && q.bytes+len(b.bytes) > maxQueuedBytes
	if q.closed || full {
		q.pool.put(b)
		if q.closed {
			return errQueueClosed
		}
		return errQueueFull
	}
	q.waiting = append(q.waiting, queuedLine{id, b})
	q.bytes += len(b.bytes)
	q.signal()
	return nil
}

// withdraw removes a call's message and reports whether that was still possible.
func (q *lineQueue) withdraw(id uint64) bool {
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
func (q *lineQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, l := range q.waiting {
		q.pool.put(l.buffer)
	}
	q.waiting, q.bytes = nil, 0
	q.signal()
}

func (q *lineQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes lines until the queue is closed or w fails.
func (q *lineQueue) run(w io.Writer) error {
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

// take moves the oldest lines into dst.
func (q *lineQueue) take(dst []byte) (batch []byte, open bool) {
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
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	return dst, !q.closed
}
