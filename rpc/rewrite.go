package rpc

import (
	"bytes"
	"encoding/json"
)

// With returns the object's text with the value of the member called name
// replaced, or with the member added at the end. All other bytes stay.
func (o Object) With(name string, value []byte) json.RawMessage {
	if m := o.find(name); m != nil {
		out := append(make([]byte, 0, len(o.raw)+len(value)), o.raw[:m.value.from]...)
		return append(append(out, value...), o.raw[m.value.to:]...)
	}
	out := append(make([]byte, 0, len(o.raw)+len(name)+len(value)+8), o.raw[:o.at.to-1]...)
	if len(o.members) > 0 {
		out = append(out, ',')
	}
	out = append(AppendString(out, name), ':')
	return append(append(out, value...), o.raw[o.at.to-1:]...)
}

// Without returns the object's text without the member called name. All other
// bytes stay.
func (o Object) Without(name string) json.RawMessage {
	for i := range o.members {
		if !o.is(&o.members[i], name) {
			continue
		}
		from, to := o.at.from+1, o.members[i].value.to
		if i > 0 {
			from = o.members[i-1].value.to
		} else if i+1 < len(o.members) {
			to = o.members[i+1].key.from
		}
		out := append(make([]byte, 0, len(o.raw)), o.raw[:from]...)
		return append(out, o.raw[to:]...)
	}
	return bytes.Clone(o.raw)
}
