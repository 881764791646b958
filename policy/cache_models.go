package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"strconv"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// maxKeptAnswer bounds the answer of a model that is kept, and what is held of it while it goes by.
const maxKeptAnswer = 1 << 20

// keepsModel reports whether the answer of a model to a call may be one that was given before: where the operator says so, at a
// temperature at which it would be much the same. What a session remembers of earlier turns is in the call by now.
func (c *Cache) keepsModel(call *rpc.Call) bool {
	temperature := float64(config.UnsaidTemperature)
	if text, said := call.Message.Get("temperature"); said && string(text) != "null" {
		var err error
		if temperature, err = strconv.ParseFloat(string(text), 64); err != nil {
			return false
		}
	}
	return call.Method.Name == "invoke" && c.models.Keeps(call.Target.Canonical, temperature)
}

// modelKey makes the key of a call of a model: who calls, who answers, and all of the params, whatever they mean to the
// model's server and in whatever order they stand. It is false for params that two readers could understand differently.
func modelKey(call *rpc.Call) (state.CacheKey, bool) {
	params, err := rpc.ReadObject(call.Message.Params)
	if err != nil {
		return state.CacheKey{}, false
	}
	type param struct {
		name  string
		value json.RawMessage
	}
	all := make([]param, 0, params.Len())
	params.Each(func(name string, value json.RawMessage) bool {
		all = append(all, param{name, value})
		return true
	})
	slices.SortFunc(all, func(a, b param) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	out := call.Principal.AppendIdentity([]byte{3})
	out = part(part(part(part(out, call.Method.Name), call.Target.Upstream), call.Target.Own), call.Target.Exposed)
	sum := sha256.New()
	sum.Write(out)
	for _, p := range all {
		out = binary.AppendUvarint(part(out[:0], p.name), uint64(len(p.value)))
		sum.Write(out)
		sum.Write(p.value)
	}
	return state.CacheKey(sum.Sum(nil)), true
}

// gathered is the answer of a model as it goes by: the notifications and the result, each with its method, which the result
// has none of.
type gathered struct {
	text []byte
	over bool // it is too large to be kept
}

// add takes a message of the answer.
func (g *gathered) add(method string, body []byte) {
	if g.over = g.over || len(g.text)+len(body) > maxKeptAnswer; g.over {
		g.text = nil
		return
	}
	g.text = binary.AppendUvarint(part(g.text, method), uint64(len(body)))
	g.text = append(g.text, body...)
}

// finished reports whether a model has said all that it was asked for, so that it would say it again.
func finished(m *rpc.Message) bool {
	reason, _ := m.Get("finish_reason")
	return string(reason) == `"stop"` || string(reason) == `"length"`
}

// replay answers a call with what a model answered before.
func replay(id rpc.ID, text []byte) *rpc.Reply { return rpc.NewReply(&replayed{id, text}) }

type replayed struct {
	id   rpc.ID
	text []byte
}

// Next implements [rpc.Source].
func (r *replayed) Next() (*rpc.Message, error) {
	if len(r.text) == 0 {
		return nil, io.EOF
	}
	method := r.cut()
	body := r.cut()
	if len(method) == 0 {
		return rpc.NewResult(r.id, body), nil
	}
	return rpc.NewNotification(string(method), body), nil
}

// cut takes the next piece of what was gathered.
func (r *replayed) cut() []byte {
	n, size := binary.Uvarint(r.text)
	out := r.text[size : size+int(n)]
	r.text = r.text[size+int(n):]
	return out
}

// Answer implements [rpc.Source].
func (*replayed) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source].
func (*replayed) Close() error { return nil }
