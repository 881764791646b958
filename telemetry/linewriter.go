package telemetry

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineDelay is how long a line of the access log may wait to be written together with others.
	lineDelay = time.Second
	// lineBatch is how many bytes are written together.
	lineBatch = 64 << 10
	// lineRoom is how many bytes wait at most where what is written to does not keep up. What comes then is lost.
	lineRoom = 1 << 20
)

// lineWriter writes lines, those of the access log in batches. Whoever logs anything else waits until it is written, with
// all that was logged before; whoever logs a call waits for nobody.
type lineWriter struct {
	to     io.Writer
	failed func(error) // is told of the first failure in a row, and of its end by nil
	lost   atomic.Int64

	mu      sync.Mutex // of what waits
	waiting []byte
	spare   []byte
	timer   *time.Timer // nil before the first line that waits
	kicked  bool        // the batch is about to be written
	closed  bool

	turn    sync.Mutex // of who writes
	broken  bool       // the last time failed
	partial bool       // the last line is not whole
}

func newLineWriter(to io.Writer, failed func(error)) *lineWriter {
	return &lineWriter{to: to, failed: failed}
}

// write takes a line, which it copies. One that may wait is written soon.
func (w *lineWriter) write(line []byte, mayWait bool) error {
	w.mu.Lock()
	mayWait = mayWait && !w.closed
	if mayWait && len(w.waiting)+len(line) > lineRoom {
		w.mu.Unlock()
		w.lost.Add(1)
		return nil
	}
	first := len(w.waiting) == 0
	w.waiting = append(w.waiting, line...)
	if !mayWait {
		w.mu.Unlock()
		return w.flush()
	}
	switch {
	case len(w.waiting) >= lineBatch && !w.kicked:
		w.kicked = true
		w.schedule(0)
	case first && !w.kicked:
		w.schedule(lineDelay)
	}
	w.mu.Unlock()
	return nil
}

// schedule has what waits written after a time. The lock is held.
func (w *lineWriter) schedule(after time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(after, func() { _ = w.flush() })
		return
	}
	w.timer.Reset(after)
}

// flush writes what waits.
func (w *lineWriter) flush() error {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	lines := w.waiting
	w.waiting, w.spare, w.kicked = w.spare[:0], nil, false
	w.mu.Unlock()
	err := w.put(lines)
	w.mu.Lock()
	w.spare = lines[:0]
	w.mu.Unlock()
	return err
}

// put writes whole lines. A line of which a part was written before the failure is ended before the next one.
func (w *lineWriter) put(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if w.partial {
		if _, err := w.to.Write([]byte{'\n'}); err != nil {
			return w.fail(err, lines)
		}
		w.partial = false
	}
	n, err := w.to.Write(lines)
	if err != nil {
		w.partial = n > 0 && lines[n-1] != '\n'
		return w.fail(err, lines[n:])
	}
	if w.broken {
		w.broken = false
		w.failed(nil)
	}
	return nil
}

func (w *lineWriter) fail(err error, lines []byte) error {
	w.lost.Add(int64(bytes.Count(lines, []byte{'\n'})))
	if !w.broken {
		w.broken = true
		w.failed(err)
	}
	return err
}

// close writes what waits. What is logged later is written at once.
func (w *lineWriter) close() error {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	return w.flush()
}
