package rpc

// Watcher is told how replies go by those who count them. One watcher may watch many
// replies: the ticket says which. Its methods may be called by many goroutines at once.
type Watcher interface {
	// First is called once, with what Next returned first. Where the reply is closed before
	// that, it is given neither a message nor an error.
	First(ticket uint64, m *Message, err error)
	// Closed is called once, when the reply has been closed and First was called.
	Closed(ticket uint64)
}

// Watch has w told how the reply goes. It is called by who makes the reply, at most once and
// before anybody pulls. It costs no allocation.
func (r *Reply) Watch(w Watcher, ticket uint64) { r.watcher, r.ticket = w, ticket }

// began tells the watcher of the first message.
func (r *Reply) began(m *Message, err error) {
	if !r.begun.Swap(true) {
		r.watcher.First(r.ticket, m, err)
	}
}

// unwatch tells the watcher that the reply was closed.
func (r *Reply) unwatch() {
	r.began(nil, nil)
	r.watcher.Closed(r.ticket)
}
