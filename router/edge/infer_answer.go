package edge

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// form is how the objects of an answer in the inference dialect are written. The request's id is echoed byte for byte,
// and that this is JSON-RPC is said to those who have said so.
type form struct {
	id        rpc.ID
	versioned bool
	part      string // the method of the notifications that a streamed answer consists of; empty if it is one object
	opens     bool   // the answer opens a session
	session   string // the id of the session that the request has taken up again; empty if that is none
}

// formOf returns the form of a request's answer.
func formOf(m *rpc.Message) form {
	f := form{id: m.ID, versioned: m.Versioned(), opens: m.Method == infer.Initialize}
	switch {
	case m.Method == infer.Invoke && infer.Streams(m):
		f.part = infer.Chunk
	case m.Method == infer.Logs:
		f.part = infer.Entry
	}
	return f
}

// known looks for the id of the session that an answer opens, empty if it opens none. One that was taken up again it adds
// to the answer.
func (f *form) known(m *rpc.Message) (*rpc.Message, string) {
	if !f.opens || m.Err != nil {
		return m, ""
	}
	if f.session != "" {
		m = m.Fork()
		m.Set("sessionId", rpc.AppendString(nil, f.session))
		return m, f.session
	}
	id, _ := m.Text("sessionId")
	return m, id
}

// object is one object of an answer: a part of a stream, the response, or with no message the word that the stream is done.
type object struct {
	*form
	m *rpc.Message
}

var _ utterance = (*object)(nil)

// AppendTo implements utterance.
func (o *object) AppendTo(dst []byte) []byte {
	if o.m == nil {
		return infer.AppendDone(dst, o.id, o.versioned)
	}
	return infer.AppendPart(dst, o.id, o.versioned, o.m)
}

// Size implements utterance.
func (o *object) Size() int {
	const envelope = len(`{"jsonrpc":"2.0","id":null,"result":{"chunk":}}`)
	n := envelope + len(o.id.Raw())
	if o.m != nil {
		n += o.m.Size()
	}
	return n
}

// inferAnswer is the outlet of an exchange of the inference dialect. One goroutine uses it, that which pulls the reply.
type inferAnswer struct {
	form
	x      *exchange
	object object
	begun  bool
}

var _ ready = (*inferAnswer)(nil)

// next makes the object of a message.
func (a *inferAnswer) next(m *rpc.Message) *object {
	a.object = object{&a.form, m}
	return &a.object
}

// send implements outlet. What is no part of the answer is left out.
func (a *inferAnswer) send(m *rpc.Message) bool {
	if a.part == "" || m.Method != a.part {
		return true
	}
	if !a.begun {
		a.begun = true
		a.x.mayStream()
	}
	return a.x.say(a.next(m))
}

// offers implements ready.
func (a *inferAnswer) offers() bool { return a.begun && a.x.offers() }

// Take implements [rpc.Taker].
func (a *inferAnswer) Take(m *rpc.Message) bool { return m.Method != a.part || a.x.offer(a.next(m)) }

// deliver implements ready.
func (a *inferAnswer) deliver() { a.x.deliver() }

// finish implements outlet. Once a stream has begun its errors are part of it; before, they have a status.
func (a *inferAnswer) finish(m *rpc.Message, status int) {
	x := a.x
	m, session := a.known(m)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.phase == over || x.isLost():
	case m.Err == nil && a.part != "":
		x.stream()
		x.last(a.next(m))
		x.last(a.next(nil))
	case x.phase == streaming:
		x.last(a.next(m))
	default:
		if session != "" {
			x.w.Header()[headerSession] = []string{session}
		}
		o := a.next(m)
		x.document(o.AppendTo(x.events.space(&x.buffers, o.Size())), nil, status)
	}
	x.phase = over
}

// end ends a stream that has no response: of logs there is nothing to say in the end, and not all backends say something.
func (a *inferAnswer) end() bool {
	x := a.x
	if a.part == "" {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != over && !x.isLost() {
		x.stream()
		x.last(a.next(nil))
	}
	x.phase = over
	return true
}

// stream begins the stream, if it has not begun.
func (x *exchange) stream() {
	if x.phase != streaming {
		x.commit()
	}
}
