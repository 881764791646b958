package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
)

// errTooLong is why a message is not read that exceeds the limit.
var errTooLong = errors.New("it exceeds the size limit")

// receive reads one message and gives it to whom it belongs. The buffer is the link's
// from now on.
func (c *duplex) receive(ctx context.Context, b *buffer) {
	m, err := rpc.Parse(b.bytes, upstreamLimits)
	if items := c.hop().batch(b.bytes, err); items != nil {
		for _, item := range items {
			one := c.pool.get()
			one.bytes = append(one.bytes, item...)
			c.receive(ctx, one)
		}
		c.pool.put(b)
		return
	}
	if err != nil {
		c.reject(ctx, b.bytes, err)
		c.pool.put(b)
		return
	}
	if !c.route(ctx, parcel{m, b}) {
		c.pool.put(b)
	}
}

// reject deals with a line that is no message: a banner, a stray print, a damaged or an
// oversized response. The call that it answers fails, if that can be told; the server
// and its other calls go on.
func (c *duplex) reject(ctx context.Context, line []byte, why error) {
	if skipped, ok := c.garbage.take(time.Now()); ok {
		c.s.log.WarnContext(ctx, "server sent what is no message",
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
