package rpc

// Notice makes notifications one after the other in the same memory, for streams that have a great many. Each is good until
// the next one is made. The zero Notice is ready for use by one goroutine at a time.
type Notice struct {
	m    Message
	text []byte
}

// Make returns a notification; params is the text of an object, or nil, and is copied. Unlike that of [NewNotification] it
// must not be kept.
func (n *Notice) Make(method string, params []byte) *Message {
	n.text = appendCall(append(n.text[:0], `{"jsonrpc":"2.0",`...), method, params)
	m := &n.m
	objects := m.objects
	*m = Message{}
	for i := range objects {
		m.objects[i].members = objects[i].members[:0]
	}
	if objects[top].members == nil {
		m.makeRoom()
	}
	if m.scan(n.text, 2*MaxDepth, ownGrammar.envelope) != nil || m.fill(&ownGrammar) != nil {
		return NewNotification(method, params) // which says what is wrong with it
	}
	return m
}
