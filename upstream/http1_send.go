package upstream

import (
	"net/http"
	"time"
)

const (
	// blockingWrite is the size up to which a write may block when the socket cannot be asked whether it would: any peer
	// takes that much without reading it.
	blockingWrite = 16 << 10
)

// send writes a request as far as that is possible without waiting for the peer to read it. What remains is written by a
// goroutine, for the peer may well answer (413, say) instead of reading: whoever waits for it to read first waits for ever.
func (x *exchange) send(msg message) (*remainder, error) {
	for i, p := range msg {
		n, err := x.writeNow(p)
		x.sent = x.sent || n > 0
		msg[i] = p[n:]
		if err != nil {
			return nil, err
		}
		if n < len(p) {
			return writeLater(x.conn, msg), nil
		}
	}
	return nil, nil
}

// writeNow writes what can be written without waiting, or, when that cannot be known, what is short.
func (x *exchange) writeNow(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case x.conn.plain():
		return x.conn.socket.write(p)
	case len(p) <= blockingWrite:
		return x.conn.nc.Write(p)
	}
	return 0, nil
}

// remainder is what is still being written while the answer is awaited. Nil stands for a request that was sent wholly.
type remainder struct {
	conn *conn
	done chan struct{}
	n    int // bytes written; this and err are valid once done is closed
	err  error
}

func writeLater(c *conn, msg message) *remainder {
	r := &remainder{conn: c, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for _, p := range msg {
			if len(p) == 0 {
				continue
			}
			n, err := c.nc.Write(p)
			r.n += n
			if r.err = err; err != nil {
				return
			}
		}
	}()
	return r
}

// abandon returns when nothing is being written any more, and reports whether anything was. The connection has been closed.
func (r *remainder) abandon() bool {
	if r == nil {
		return false
	}
	<-r.done
	return r.n > 0
}

// settle ends the sending once the answer has begun, and reports whether the request was sent wholly. A success means that
// the peer wants the rest; any other status that it does not, and we need not go on (RFC 9112 §9.5).
func (r *remainder) settle(status int) bool {
	if r == nil {
		return true
	}
	if status >= http.StatusMultipleChoices {
		_ = r.conn.nc.SetWriteDeadline(time.Unix(1, 0))
	}
	<-r.done
	return r.err == nil
}
