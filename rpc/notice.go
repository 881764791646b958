package rpc

// Notice makes notifications of one method one after the other in the same memory, for streams that have a great many.
// Each is good until the next one is made. The zero Notice is ready for use by one goroutine at a time.
type Notice struct {
	m    Message
	text []byte
	from int // where the params begin in the text; 0 if what stands before them was not read yet
}

// Make returns a notification; params is the text of an object, or nil, and is copied. Unlike that of [NewNotification] it
// must not be kept.
func (n *Notice) Make(method string, params []byte) *Message {
	if n.from > 0 && n.m.Method == method && params != nil {
		n.text = append(append(n.text[:n.from], params...), '}')
		if n.again() {
			return &n.m
		}
	}
	n.text, n.from = appendCall(append(n.text[:0], `{"jsonrpc":"2.0",`...), method, params), 0
	m := &n.m
	m.empty()
	if m.scan(n.text, 2*MaxDepth, ownGrammar.envelope) != nil || m.fill(&ownGrammar) != nil {
		return NewNotification(method, params) // which says what is wrong with it
	}
	if len(params) > 0 && params[0] == '{' { // nothing stands between them and the colon
		n.from = m.objects[top].find("params").value.from
	}
	return m
}

// again reads params behind what was read before, and reports whether that is all of a message.
func (n *Notice) again() bool {
	m := &n.m
	for at := range m.objects {
		if o := &m.objects[at]; scope(at) != top {
			*o = object{members: o.members[:0]}
		}
	}
	m.edits = m.edits[:0]
	s := scanner{data: n.text, depth: 2 * MaxDepth, pos: n.from}
	if s.peek() != '{' || s.record(m.objects[:], ownEnvelope.child([]byte("params")), 1) != nil || s.pos != len(n.text)-1 {
		return false
	}
	o := &m.objects[top]
	o.raw, o.at.to = n.text, len(n.text)
	o.find("params").value.to = s.pos
	m.Params = n.text[n.from:s.pos]
	return m.checkSubject() == nil
}

// empty takes everything out of the message but its memory.
func (m *Message) empty() {
	objects := m.objects
	*m = Message{}
	for at := range objects {
		m.objects[at].members = objects[at].members[:0]
	}
	if objects[top].members == nil {
		m.makeRoom()
	}
}
