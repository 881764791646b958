package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// errTooLong is why a line is not read that exceeds the limit.
var errTooLong = errors.New("it exceeds the size limit")

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
			c.receive(ctx, line)
		}
	}
}

// receive reads one line as a message and gives it to whom it belongs.
func (c *stdioConn) receive(ctx context.Context, line []byte) {
	b := c.pool.get()
	b.bytes = append(b.bytes, line...)
	m, err := rpc.Parse(b.bytes, upstreamLimits)
	if err != nil {
		c.reject(ctx, line, err)
		c.pool.put(b)
		return
	}
	if !c.route(ctx, parcel{m, b}) {
		c.pool.put(b)
	}
}

// reject deals with a line that is no message: a banner, a stray print, a damaged or an
// oversized response. The call that it answers fails, if that can be told; the process
// and its other calls go on.
func (c *stdioConn) reject(ctx context.Context, line []byte, why error) {
	if skipped, ok := c.garbage.take(time.Now()); ok {
		c.s.log.WarnContext(ctx, "server wrote what is no message to stdout",
			"line", rpc.Excerpt(string(bytes.TrimSpace(line[:min(len(line), edge)]))), "error", why.Error(), "skipped", skipped)
	}
	if !looksLikeResponse(line, !errors.Is(why, errTooLong)) {
		return
	}
	id, ok := blamed(line)
	if !ok {
		id, ok = c.only()
	}
	if k := c.take(id); ok && k != nil {
		k.box.fail(c.s.fault.failed(why, "gave an answer that cannot be read"))
	}
}
