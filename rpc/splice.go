package rpc

import "slices"

// splice puts a value in the place of the bytes at a range.
type splice struct {
	at    span
	value []byte
}

// Split is [Message.AppendTo] without the copy of what follows the last change: it
// appends the message up to there to dst and returns the longer slice, and then the
// bytes that come after it, as they were received. Large messages are mostly tail.
func (m *Message) Split(dst []byte) (head, tail []byte) {
	m.read()
	raw := m.objects[top].raw
	var room [8]splice
	splices, ok := m.splices(room[:0])
	if !ok {
		return m.render(append(dst, raw[:m.objects[top].at.from]...), top, &m.objects[top]), raw[m.objects[top].at.to:]
	}
	from := 0
	for _, s := range splices {
		dst = append(append(dst, raw[from:s.at.from]...), s.value...)
		from = s.at.to
	}
	return dst, raw[from:]
}

// splices returns the edits in the order of their places, if each of them gives a
// new value to a member that is there. Others change what stands between members.
func (m *Message) splices(dst []splice) ([]splice, bool) {
	for _, e := range m.edits {
		f := m.objects[e.scope].find(e.name)
		if f == nil || e.value == nil || e.scope == body && e.name == metaName {
			return nil, false
		}
		dst = append(dst, splice{f.value, e.value})
	}
	slices.SortFunc(dst, func(a, b splice) int { return a.at.from - b.at.from })
	return dst, true
}
