package http1

import (
	"context"
	"sync"
	"time"
)

// A handler wants to know when its client has gone, and only reading the connection tells. Most calls are over before
// that is worth a goroutine, so the watch begins when a call has taken a while.

// unwatched is how long a handler runs before its client is watched.
const unwatched = 5 * time.Millisecond

type watchState uint8

const (
	off     watchState = iota
	waiting            // for the time, or for the content of the request to have been read
	reading
)

// watch reads the connection while a handler runs.
type watch struct {
	conn  *conn
	timer *time.Timer

	mu     sync.Mutex
	state  watchState
	due    bool // the time has come
	whole  bool // the content was read
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup // of the goroutine that reads
}

func (w *watch) init(c *conn) {
	w.conn = c
	w.timer = time.AfterFunc(time.Hour, w.now)
	w.timer.Stop()
}

// begin watches for an exchange, in a while.
func (w *watch) begin(x *exchange) {
	w.mu.Lock()
	w.state, w.due, w.whole, w.cancel = waiting, false, x.body.over, x.cancel
	w.mu.Unlock()
	w.timer.Reset(unwatched)
}

// now begins to watch as soon as the content of the request was read.
func (w *watch) now() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = true
	w.start()
}

// content notes that the content of the request was read to its end, so that what comes is another request or the end.
func (w *watch) content() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = true
	w.start()
}

func (w *watch) start() {
	if w.state != waiting || !w.due || !w.whole || w.conn.r < w.conn.w {
		return
	}
	w.state = reading
	c := w.conn
	c.r, c.w = 0, 0
	c.mu.Lock()
	c.setReadDeadline(time.Time{})
	c.mu.Unlock()
	w.ended.Go(func() {
		n, err := c.in.Read(c.buf)
		c.w = n
		if err != nil && !isTimeout(err) {
			w.cancel(nil)
		}
	})
}

// end stops watching. After it the connection is the caller's to read.
func (w *watch) end() {
	w.timer.Stop()
	w.mu.Lock()
	was := w.state
	w.state = off
	w.mu.Unlock()
	if was != reading {
		return
	}
	c := w.conn
	c.mu.Lock()
	c.setReadDeadline(time.Unix(1, 0))
	c.mu.Unlock()
	w.ended.Wait()
}
