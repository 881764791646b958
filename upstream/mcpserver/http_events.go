package mcpserver

import (
	"context"
	"errors"
	"io"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// receive returns the next message of the stream, or of another one if the answer
// comes there.
func (k *httpCall) receive() (*rpc.Message, error) {
	switch {
	case k.batch != nil && len(k.batch.rest) > 0:
		return k.unpacked()
	case k.batch != nil && k.batch.whole:
		return k.cut()
	case k.events == nil:
		return k.await()
	}
	for {
		ev, err := k.events.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			return nil, k.d.s.fault.failed(err, "gave an answer that exceeds the size limit")
		case err != nil:
			if m, err := k.interrupted(err); m != nil || err != nil {
				return m, err
			}
			continue
		}
		if len(ev.Data) == 0 {
			k.place.note(ev, k.events.LastEventID())
			continue // only an id or a time to wait
		}
		m, err := rpc.Parse(ev.Data, upstreamLimits)
		batch := err != nil && k.unpack(ev.Data, err, false)
		if err != nil && !batch && k.events.Ended() {
			continue // it was cut short, as Next says now; who goes on with the stream gets it once more
		}
		k.place.note(ev, k.events.LastEventID())
		switch {
		case err == nil:
			return m, nil
		case batch:
			return k.unpacked()
		case ev.Name == "" || ev.Name == "message":
			return nil, k.d.s.fault.failed(err, "sent an event that is no message")
		}
	}
}

// await takes the answer from another stream.
func (k *httpCall) await() (*rpc.Message, error) {
	for {
		p, again, err := k.box.next()
		k.recycle()
		k.buffer = p.buffer
		switch {
		case p.message != nil:
			return p.message, nil
		case err != nil:
			return nil, err
		}
		select {
		case <-again:
		case <-k.ctx.Done():
			return nil, k.broken(context.Cause(k.ctx), "")
		}
	}
}

// cut ends a stream that has no response. It may have come on another stream.
func (k *httpCall) cut() (*rpc.Message, error) {
	if p, _, _ := k.box.next(); p.message != nil {
		k.buffer = p.buffer
		return p.message, nil
	}
	return nil, k.d.s.fault.down(io.ErrUnexpectedEOF, "ended the stream without a response; the call may have run")
}
