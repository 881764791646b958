package rpc

// Notice makes notifications one after the other in the same memory, for streams that have a great many. What is in their params is
// read when somebody asks for it, which hardly anybody does. Each is good until the next one is made. The zero Notice is ready for use
// by one goroutine at a time.
type Notice struct{ m Message }

// Make returns a notification; params is the text of an object that was read before or written here, and is not copied. Unlike that of
// [NewNotification] it is for one goroutine at a time, also to be read.
func (n *Notice) Make(method string, params []byte) *Message {
	if !n.m.unread || n.m.Method != method {
		n.m = Message{Method: method, unread: true}
	}
	n.m.Params = params
	return &n.m
}

// read reads what a [Notice] has left unread.
func (m *Message) read() {
	if m.unread {
		*m = *NewNotification(m.Method, m.Params)
	}
}
