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
	err := x.writeNow(&msg)
	switch {
	case err != nil:
		return nil, err
	case msg.size() > 0:
		return writeLater(x.conn, msg), nil
	}
	return nil, nil
}

// writeNow takes off the message what can be written without waiting, or, when that cannot be known, what is short.
func (x *exchange) writeNow(msg *message) error {
	for msg.size() > 0 {
		n, err := x.writeSome(msg)
		x.sent = x.sent || n > 0
		msg.skip(n)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// writeSome writes once, and nothing where it could have to wait.
func (x *exchange) writeSome(msg *message) (int, error) {
	if x.conn.plain() {
		return x.conn.socket.WriteSome(msg[:])
	}
	p := msg.first()
	if len(p) > blockingWrite {
		return 0, nil
	}
	return x.conn.nc.Write(p)
}

// size is the number of bytes left.
func (m *message) size() int { return len(m[0]) + len(m[1]) + len(m[2]) }

// first returns the first part that is not empty.
func (m *message) first() []byte {
	for _, p := range m {
		if len(p) > 0 {
			return p
		}
	}
	return nil
}

// skip takes n bytes off.
func (m *message) skip(n int) {
	for i, p := range m {
		k := min(n, len(p))
		m[i] = p[k:]
		n -= k
	}
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
