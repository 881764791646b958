package mcpserver

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// stdioConn is the link to one process. One goroutine reads what the process writes,
// another one writes.
type stdioConn struct {
	*duplex
	d     *stdioDialer
	proc  *process
	queue *outbox
}

var _ wire = (*stdioConn)(nil)

// newStdioConn puts a link on a process.
func newStdioConn(d *stdioDialer, p *process) *stdioConn {
	c := &stdioConn{duplex: newDuplex(d.s, &shared, d.maxResult), d: d, proc: p, queue: newOutbox(&shared)}
	c.wire = c
	return c
}

// run begins to read and to write.
func (c *stdioConn) run() {
	life := c.s.life
	life.work.Go(func() { c.read(life) })
	life.work.Go(func() {
		if err := c.queue.lines(c.proc.stdin); err != nil {
			time.AfterFunc(closeGrace, c.proc.kill) // it does not listen any more; its last answers may still come
		}
	})
}

// read takes lines from the process until it closes its output.
func (c *stdioConn) read(ctx context.Context) {
	defer c.finish()
	lines := frame.NewLineReader(c.proc.stdout, c.limit)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			c.reject(ctx, line, errTooLong)
		case err != nil:
			return
		default:
			b := c.pool.get()
			b.bytes = append(b.bytes, line...)
			c.receive(ctx, b)
		}
	}
}

// write implements [wire].
func (c *stdioConn) write(id uint64, b *buffer) error { return c.queue.push(id, b) }

// withdraw implements [wire].
func (c *stdioConn) withdraw(id uint64) bool { return c.queue.withdraw(id) }

// stop implements [wire].
func (c *stdioConn) stop(ctx context.Context) { c.proc.stop(ctx) }

// finish ends the link when the process has closed its output. It waits for the end
// of the process itself, because how it ended is what the calls in flight have to say.
func (c *stdioConn) finish() {
	timer := time.AfterFunc(closeGrace, c.proc.kill)
	<-c.proc.exited
	timer.Stop()
	closeFiles(c.proc.stdout)
	c.queue.close()
	c.end(c.obituary)
}

// obituary says how the process ended and what it said last.
func (c *stdioConn) obituary(closing, useful bool) *rpc.Error {
	if closing {
		return c.s.fault.down(errClosed, "was shut down")
	}
	e := c.s.fault.down(nil, "ended (%s)", c.proc.status)
	if quote := c.proc.tail.quote(); quote != "" {
		e.Message += "; its last words: " + quote
	}
	c.d.noteEnd(useful, e)
	return e
}
