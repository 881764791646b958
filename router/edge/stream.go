package edge

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/headgate/headgate/router/edge/http1"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	sockets "github.com/headgate/headgate/rpc/socket"
)

const (
	// writeChunk is how much a client gets [Config.SlowReader] for.
	writeChunk = 256 << 10
	// headRoom is room for what of an answer is not passed on as it came.
	headRoom = 8 << 10
)

// Header values that never change. They are shared by all answers and only read.
var (
	jsonValue   = []string{jsonType}
	streamValue = []string{streamType}
	linesValue  = []string{linesType}
	noStore     = []string{"no-store"}
	unbuffered  = []string{"no"}
)

// finish writes the response and ends the answer. Where nothing was written before
// it becomes one JSON body, else the last event.
func (x *exchange) finish(m *rpc.Message, status int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.phase == streaming && x.track != nil:
		x.event(m)
	case x.phase == over || x.isLost():
	case x.phase == streaming:
		x.event(m)
	case status == http.StatusOK && x.accepts.streamFirst:
		x.commit()
		x.event(m)
	default:
		x.single(m, status)
	}
	x.phase = over
}

// send writes a message that more will follow. It returns false if the client cannot
// get it: because it is gone, or because it takes no streams.
func (x *exchange) send(m *rpc.Message) bool { return x.say(m) }

// say is send for whatever is written at once.
func (x *exchange) say(u utterance) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.utter(u)
}

// offer is say that does not wait for a client that is slow. It returns false if deliver has to be called, and if the client cannot get what
// was said.
func (x *exchange) offer(u utterance) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != streaming || x.isLost() {
		return false
	}
	room := sockets.NewBuffer()
	defer room.Free()
	b, at, _ := x.form(room[:0], u) // without a track it is ours
	owes, err := x.now.Offer(b, at)
	if x.owes = owes; err != nil {
		x.lose()
	}
	return err == nil && !owes
}

// offers reports whether offer may be called.
func (x *exchange) offers() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.phase == streaming && x.track == nil && !x.isLost() && x.now != nil && x.now.Offers()
}

// deliver waits until the client has taken what was offered.
func (x *exchange) deliver() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.owes && !x.isLost() && x.now.Settle(x.cfg().SlowReader) != nil {
		x.lose()
	}
	x.owes = false
}

// utter writes what is written at once, and reports whether the client can get it. The lock is held.
func (x *exchange) utter(u utterance) bool {
	switch {
	case x.phase == streaming && x.track != nil:
		x.event(u)
		return !x.isLost() || x.resumable()
	case x.phase == over || x.isLost():
		return false
	case x.phase == waiting:
		if !x.accepts.stream || x.quiet {
			return false
		}
		x.commit()
	}
	x.event(u)
	return !x.isLost() || x.resumable()
}

// open starts a stream before there is anything to write.
func (x *exchange) open(header http.Header) {
	x.keepHeader(header)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.commit()
	x.extend()
	x.flush()
	x.timer.Reset(x.cfg().Heartbeat)
}

// acknowledge answers what has no response.
func (x *exchange) acknowledge(status int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = over
	x.mergeHeader()
	x.extend()
	x.w.WriteHeader(status)
}

// keepHeader notes header fields of the answer. They have no effect once it began.
func (x *exchange) keepHeader(h http.Header) {
	if len(h) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.header = h
}

func (x *exchange) mergeHeader() { maps.Copy(x.w.Header(), x.header) }

// commit begins an event stream.
func (x *exchange) commit() {
	x.mergeHeader()
	h := x.w.Header()
	h["Content-Type"] = streamValue
	if x.lines {
		h["Content-Type"] = linesValue
	}
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = unbuffered
	x.w.WriteHeader(http.StatusOK)
	x.phase = streaming
	if x.session != nil {
		x.keepTrack()
	}
}

// event writes one message.
func (x *exchange) event(u utterance) {
	room := sockets.NewBuffer()
	defer room.Free()
	b, at, ours := x.form(room[:0], u)
	if !ours {
		x.lose()
		return
	}
	x.emit(b[at:])
	x.settle()
}

// form puts a message together as one event, or as a line where those make up the stream: b from a place on. It does so in the room that
// is given, unless the message is long. What is not ours to write is another connection's, on which the client has come back for the stream.
func (x *exchange) form(room []byte, u utterance) (b []byte, at int, ours bool) {
	if x.lines {
		room = x.roomFor(room, http1.Margin+u.Size()+len("\n")+http1.Margin)
		return frame.EndLine(u.AppendTo(room[:http1.Margin])), http1.Margin, true
	}
	b = u.AppendTo(x.roomFor(room, 2*u.Size()+64))
	data := slices.Clip(b)
	ev := frame.Event{Data: data}
	if x.track != nil {
		if ev.ID, ours = x.track.Add(bytes.Clone(data)); !ours {
			return nil, 0, false
		}
	}
	if x.naming {
		ev.Name = "message"
	}
	return frame.AppendEvent(b, ev), len(data), true
}

// roomFor returns empty room for n bytes: that which is given, if it suffices.
func (x *exchange) roomFor(room []byte, n int) []byte {
	if n <= cap(room) {
		return room
	}
	return x.events.space(&x.buffers, n)
}

// last is event for what ends the answer. It goes out with the end of the content, when the handler returns.
func (x *exchange) last(u utterance) {
	x.ending = true
	x.event(u)
}

// emit writes what must not wait for more, unless the answer ends.
func (x *exchange) emit(p []byte) {
	switch {
	case x.ending:
		x.write(p)
	case x.now == nil || len(p) > writeChunk:
		x.write(p)
		x.flush()
	case !x.isLost() && x.now.WriteNow(p, x.cfg().SlowReader) != nil:
		x.lose()
	}
}

// single writes the only message of an answer.
func (x *exchange) single(m *rpc.Message, status int) {
	head, tail := m.Split(x.buffers.get(min(m.Size(), headRoom)))
	x.document(head, tail, status)
	x.buffers.put(head)
}

// document writes an answer that is JSON, given in two parts: in one piece with the header where the server lets us.
func (x *exchange) document(head, tail []byte, status int) {
	x.mergeHeader()
	h := x.w.Header()
	h["Content-Type"] = jsonValue
	whole, ok := x.w.(interface{ WriteWhole(p, q []byte) error })
	if !ok || len(head)+len(tail) > writeChunk {
		h["Content-Length"] = []string{strconv.Itoa(len(head) + len(tail))}
		x.w.WriteHeader(status)
		x.write(head)
		x.write(tail)
		return
	}
	x.w.WriteHeader(status)
	x.extend()
	if whole.WriteWhole(head, tail) != nil {
		x.lose()
	}
}

// write gives the client a while to take each part of p. A client that does not is
// as good as gone (slow readers must not hold memory for ever).
func (x *exchange) write(p []byte) {
	for len(p) > 0 && !x.isLost() {
		n := min(len(p), writeChunk)
		x.extend()
		if _, err := x.w.Write(p[:n]); err != nil {
			x.lose()
		}
		p = p[n:]
	}
}

// extend gives the client the time for another write. The deadline stays when the
// handler returns, for what net/http still has to send.
func (x *exchange) extend() {
	_ = x.rc.SetWriteDeadline(time.Now().Add(x.cfg().SlowReader)) // all of net/http's connections have deadlines
}

func (x *exchange) flush() {
	if x.isLost() {
		return
	}
	if err := x.rc.Flush(); err != nil {
		x.lose()
	}
}
