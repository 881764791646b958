package edge

import (
	"errors"
	"io"
	"math/bits"
	"net/http"
	"os"
	"sync"

	"github.com/headgate/headgate/rpc"
)

const (
	// smallest and largest are the sizes of pooled buffers, as powers of two. What is
	// shorter is cheap to allocate, what is longer too rare to keep.
	smallest, largest = 12, 20
	// trusted is how much of a declared length is allocated before any of it came.
	trusted = 128 << 10
	// minProgress is what a sender must deliver within each [Config.SlowSender].
	minProgress = 32 << 10
)

// buffers are byte slices that are used again, one pool for each power of two.
type buffers struct {
	pools [largest - smallest + 1]sync.Pool
}

// get returns an empty slice with room for n bytes.
func (b *buffers) get(n int) []byte {
	if n <= 1<<smallest || n > 1<<largest {
		return make([]byte, 0, n)
	}
	class := bits.Len(uint(n - 1))
	if p, ok := b.pools[class-smallest].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// put takes a slice back. The caller must not use it any more.
func (b *buffers) put(p []byte) {
	class := bits.Len(uint(cap(p))) - 1
	if class <= smallest || class > largest || cap(p) != 1<<class {
		return // not one of ours
	}
	kept := p
	b.pools[class-smallest].Put(&kept)
}

const (
	usualScratch = 8 << 10  // room for messages that are alike
	largeScratch = 64 << 10 // how much room is kept for small messages after a large one
)

// scratch is room in which the messages of a stream are put together, one after the other.
type scratch struct{ room []byte }

// space returns an empty slice with room for n bytes, good until the next one is asked for.
func (s *scratch) space(b *buffers, n int) []byte {
	if have := cap(s.room); have < n || have > largeScratch && n <= usualScratch {
		b.put(s.room)
		s.room = b.get(max(n, usualScratch))
	}
	return s.room[:0]
}

// release gives the room back.
func (s *scratch) release(b *buffers) {
	b.put(s.room)
	s.room = nil
}

// receive reads the whole body. It allocates by what arrived, not by what was
// promised, and gives up on senders that are too slow.
func (x *exchange) receive() ([]byte, error) {
	length := x.r.ContentLength
	if length > x.cfg().Body {
		return nil, x.tooLarge()
	}
	want := int64(1 << smallest)
	if length >= 0 {
		want = min(length, trusted)
	}
	x.timer.Reset(x.cfg().SlowSender)
	x.body = x.buffers.get(int(want))
	for {
		if int64(len(x.body)) == length {
			x.whole.Store(true)
			return x.body, nil
		}
		if len(x.body) == cap(x.body) {
			x.grow()
		}
		n, err := x.r.Body.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		x.received.Add(int64(n))
		switch {
		case int64(len(x.body)) > x.cfg().Body:
			return nil, x.tooLarge()
		case errors.Is(err, io.EOF):
			x.whole.Store(true)
			return x.body, nil
		case err != nil:
			return nil, x.broken(err)
		}
	}
}

// grow moves the body into a buffer of twice the size.
func (x *exchange) grow() {
	bigger := x.buffers.get(max(2*cap(x.body), 1<<smallest))
	bigger = append(bigger, x.body...)
	x.buffers.put(x.body)
	x.body = bigger
}

func (x *exchange) tooLarge() error {
	err := rpc.Errorf(rpc.TooLarge, "the request exceeds %d bytes", x.cfg().Body)
	err.Header = x.hangUp()
	return err
}

// broken says why a body could not be read to its end.
func (x *exchange) broken(err error) error {
	out := rpc.Errorf(rpc.InvalidRequest, "the request ended early")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		out = rpc.Errorf(rpc.InvalidRequest, "the request arrives too slowly")
	}
	out.Cause, out.Header = err, x.hangUp()
	return out
}

// hangUp ends a connection on which the client may go on with what nobody reads. Over
// HTTP/2 that ends with the stream, and others share the connection.
func (x *exchange) hangUp() http.Header {
	if x.r.ProtoMajor > 1 {
		return nil
	}
	return http.Header{"Connection": {"close"}}
}
