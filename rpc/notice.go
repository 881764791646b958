package rpc

import "bytes"

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
		alike := n.alike(params)
		n.text = append(append(n.text[:n.from], params...), '}')
		if alike && n.retell() || n.again() {
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

// alike reports whether params differ from what was read before in the value of their only member at most, which is a text.
func (n *Notice) alike(params []byte) bool {
	o := &n.m.objects[body]
	if len(o.members) != 1 || len(n.m.edits) > 0 || o.err != nil {
		return false
	}
	v := o.members[0].value
	head := n.text[n.from:v.from]
	return n.text[v.from] == '"' && v.to == o.at.to-1 && bytes.HasPrefix(params, head)
}

// retell reads the text of params that are alike, and reports whether that is all that is in them.
func (n *Notice) retell() bool {
	m := &n.m
	o, envelope := &m.objects[body], &m.objects[top]
	s := scanner{data: n.text, pos: o.members[0].value.from}
	if end := len(n.text) - len("}}"); s.peek() != '"' || s.str() != nil || s.pos != end || n.text[end] != '}' {
		return false
	}
	o.raw, envelope.raw = n.text, n.text
	o.members[0].value.to, o.at.to, envelope.at.to = s.pos, s.pos+1, len(n.text)
	envelope.find("params").value.to = o.at.to
	m.Params = n.text[n.from:o.at.to]
	return m.checkSubject() == nil
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
