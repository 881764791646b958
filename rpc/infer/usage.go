package infer

import (
	"encoding/json"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// ReadUsage reads a usage member of a result; false where it is none. Members that are absent are zero.
func ReadUsage(text json.RawMessage) (rpc.Usage, bool) {
	if len(text) == 0 || text[0] != '{' {
		return rpc.Usage{}, false
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return rpc.Usage{}, false
	}
	var out rpc.Usage
	for name, into := range map[string]*int64{"input_tokens": &out.Input, "output_tokens": &out.Output, "cached_tokens": &out.Cached} {
		v, ok := o.Get(name)
		if !ok || string(v) == "null" {
			continue
		}
		if *into, err = strconv.ParseInt(string(v), 10, 64); err != nil || *into < 0 {
			return rpc.Usage{}, false
		}
	}
	guess, _ := o.Get("estimated")
	out.Estimated = string(guess) == "true"
	return out, true
}

// AppendUsage appends the text of a usage member.
func AppendUsage(dst []byte, u rpc.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `{"input_tokens":`...), u.Input, 10)
	dst = strconv.AppendInt(append(dst, `,"output_tokens":`...), u.Output, 10)
	if u.Cached > 0 {
		dst = strconv.AppendInt(append(dst, `,"cached_tokens":`...), u.Cached, 10)
	}
	if u.Estimated {
		dst = append(dst, `,"estimated":true`...)
	}
	return append(dst, '}')
}
