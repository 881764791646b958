package infer

import (
	"encoding/json"
	"io"

	"github.com/headgate/headgate/rpc"
)

// Collect makes one answer of a streamed one: a reply whose response has as its output what the chunks of the other had
// together. The response has the model's name, which is a part of answers that are not streamed. More than most bytes of
// chunks are an error. Answers that are not streamed pass as they are.
func Collect(reply *rpc.Reply, model string, most int) *rpc.Reply {
	out := rpc.NewReply(&collector{reply: reply, model: model, most: most})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out
}

type collector struct {
	reply  *rpc.Reply
	model  string
	most   int
	answer Answer
	over   bool
}

// Next pulls until there is a response, or something that is no chunk.
func (c *collector) Next() (*rpc.Message, error) {
	if c.over {
		return nil, io.EOF
	}
	for {
		m, err := c.reply.Next()
		switch {
		case err != nil:
			return nil, err
		case m.Method == Chunk:
			if err := c.take(m.Params); err != nil {
				return nil, err
			}
		case m.IsResponse():
			c.over = true
			return c.answer.Response(m, c.model), nil
		default:
			return m, nil
		}
	}
}

func (c *collector) Answer(m *rpc.Message) error { return c.reply.Answer(m) }
func (c *collector) Close() error                { return c.reply.Close() }

func (c *collector) take(chunk json.RawMessage) error {
	err := c.answer.Add(chunk)
	if c.answer.Size() > c.most {
		return rpc.Errorf(rpc.UpstreamFailed, "the answer is larger than %d bytes", c.most)
	}
	if err != nil {
		return rpc.Errorf(rpc.UpstreamFailed, "a chunk of the answer cannot be read: %w", err)
	}
	return nil
}

// Answer is what the chunks of a streamed answer make together. The zero Answer has none.
type Answer struct {
	parts choices
	size  int
}

// Add takes a chunk. The error is that of a chunk that does not go on with those before; the answer is of no use then.
func (a *Answer) Add(chunk json.RawMessage) error {
	a.size += len(chunk)
	return a.parts.add(chunk)
}

// Size is how many bytes the chunks had.
func (a *Answer) Size() int { return a.size }

// Response makes the response of an answer that is not streamed out of the last message of one that was. The result has the
// model's name. What there were no chunks of passes as it is.
func (a *Answer) Response(m *rpc.Message, model string) *rpc.Message {
	if m.Err != nil || m.CheckBody() != nil {
		return m
	}
	if _, whole := m.Get("output"); whole && a.size == 0 {
		return m
	}
	out := members{}
	out.set("model", rpc.AppendString(nil, model))
	a.parts.first().each(func(name string, value json.RawMessage) {
		if name == textMember {
			name = "output"
		}
		out.set(name, value)
	})
	if !out.has("output") {
		out.set("output", []byte(`""`))
	}
	if further := a.parts.further(); further != nil {
		out.set("choices", further)
	}
	if o, err := rpc.ReadObject(m.AppendResult(nil)); err == nil {
		o.Each(func(name string, value json.RawMessage) bool {
			out.set(name, value)
			return true
		})
	}
	return rpc.NewResult(m.ID, out.append(nil))
}

// members is an object that is being made, in the order in which members were set first.
type members struct {
	names  []string
	values map[string]json.RawMessage
}

func (o *members) set(name string, value json.RawMessage) {
	if o.values == nil {
		o.values = map[string]json.RawMessage{}
	}
	if _, known := o.values[name]; !known {
		o.names = append(o.names, name)
	}
	o.values[name] = value
}

func (o *members) has(name string) bool {
	_, ok := o.values[name]
	return ok
}

func (o *members) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range o.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(rpc.AppendString(dst, name), ':'), o.values[name]...)
	}
	return append(dst, '}')
}
