package link

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	pieceSize = 16 << 10
	underWay  = 16 // pieces in one direction, beside what the system buffers
	perSecond = 20 // pieces, on a slow line
)

// pair is one connection: a client's side and the server's.
type pair struct {
	link           *Link
	client, server *net.TCPConn
	once           sync.Once
	gone           chan struct{} // closed with the connection
}

// piece is what came at once, or what the end of a direction was.
type piece struct {
	data []byte
	at   time.Time
	end  error
}

// carry passes on what comes from one side to the other, until either is gone.
func (p *pair) carry(from, to *net.TCPConn, cut func(Fault) int64) {
	queue := make(chan piece, underWay)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		for {
			buf := make([]byte, pieceSize)
			n, err := from.Read(buf)
			select {
			case queue <- piece{buf[:n], time.Now(), err}:
			case <-p.gone:
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer reader.Wait()
	var passed int64
	for next := range queue {
		if !p.deliver(next, to, &passed, cut) {
			p.end()
			return
		}
		switch {
		case next.end == nil:
		case errors.Is(next.end, io.EOF):
			_ = to.CloseWrite() // the other side may be gone by now
		case errors.Is(next.end, syscall.ECONNRESET):
			p.reset()
		default:
			p.end()
		}
	}
}

// deliver passes on a piece when it is due. It returns false if the connection is gone.
func (p *pair) deliver(next piece, to *net.TCPConn, passed *int64, cut func(Fault) int64) bool {
	for data := next.data; ; {
		f, changed := p.link.now()
		wait := time.Until(next.at.Add(f.Latency))
		switch {
		case f.Hold || f.Silent:
			if !p.pause(nil, changed) {
				return false
			}
			continue
		case wait > 0:
			timer := time.NewTimer(wait)
			ok := p.pause(timer.C, changed)
			timer.Stop()
			if !ok {
				return false
			}
			continue
		case len(data) == 0:
			return true
		}
		n := len(data)
		if f.Rate > 0 {
			n = min(n, max(1, f.Rate/perSecond))
		}
		limit := cut(f)
		if limit > 0 {
			n = int(min(int64(n), max(0, limit-*passed)))
		}
		if _, err := to.Write(data[:n]); err != nil {
			return false
		}
		*passed += int64(n)
		data = data[n:]
		if limit > 0 && *passed >= limit {
			p.reset()
			return false
		}
		if f.Rate > 0 {
			timer := time.NewTimer(time.Duration(n) * time.Second / time.Duration(f.Rate))
			ok := p.pause(timer.C, changed)
			timer.Stop()
			if !ok {
				return false
			}
		}
	}
}

// pause waits for a time, or for a change of the link. It returns false if the connection is gone.
func (p *pair) pause(until <-chan time.Time, changed <-chan struct{}) bool {
	select {
	case <-until:
	case <-changed:
	case <-p.gone:
		return false
	}
	return true
}

func (p *pair) silence(on bool) error {
	return errors.Join(silence(p.client, on), silence(p.server, on))
}

// end closes both sides.
func (p *pair) end() {
	p.once.Do(func() {
		close(p.gone)
		_ = p.client.Close() // either may be gone already
		_ = p.server.Close()
	})
}

// reset ends the connection with a reset to both sides.
func (p *pair) reset() {
	_ = p.client.SetLinger(0) // fails on what is closed
	_ = p.server.SetLinger(0)
	p.end()
}

// drop resets a connection that was just accepted.
func drop(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails on what is closed
	_ = c.Close()
}
