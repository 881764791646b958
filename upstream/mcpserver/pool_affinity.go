package mcpserver

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// What a server hands out is understood by that server, and perhaps by no other: the place in a list, the state of a call that asked
// something, a task. Where there are several servers each such text is marked with the tag of the one that gave it, and
// brings the call back to it. Clients never see the marks: the gateway seals these texts anyway.

// tagSize is the length of a tag, of which the first and the last character are fixed.
const tagSize = 10

// tagOf returns the tag of a server: the same in each process, as long as its address is.
func tagOf(url string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(url))
	return "~" + hex.EncodeToString(h.Sum(nil)) + "~"
}

// untag splits a text into its tag and what the server gave. Without a tag that is all of it.
func untag(text string) (tag, own string) {
	if len(text) < tagSize || text[0] != '~' || text[tagSize-1] != '~' {
		return "", text
	}
	return text[:tagSize], text[tagSize:]
}

// carried are the members of a request that hold what a server handed out.
var carried = [...]string{"requestState", "cursor", "taskId"}

// handed returns such a member of a call, and its name.
func handed(c *rpc.Call) (member, text string) {
	for _, name := range carried {
		if name == "taskId" && !strings.HasPrefix(c.Message.Method, "tasks/") || name == "cursor" && c.Method.Dest != rpc.Every {
			continue
		}
		if text, ok := c.Message.Text(name); ok {
			return name, text
		}
	}
	return "", ""
}

// of returns the member with a tag, nil if it has left.
func (p *Pool) of(tag string) *member {
	if tag == "" {
		return nil
	}
	for _, m := range *p.members.Load() {
		if m.tag == tag {
			return m
		}
	}
	return nil
}

// Handle implements [rpc.Handler] for the pool's backend.
func (m *member) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if !m.pool.many.Load() {
		return m.server.Handle(ctx, c)
	}
	reply, err := m.server.Handle(ctx, m.owned(c))
	if err != nil {
		return nil, err
	}
	if m.server.bound(c) {
		m.pool.pins.Store(c.Client.Session, m)
	}
	out := rpc.NewReply(&tagging{Reply: reply, tag: m.tag, call: c})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}

// bound reports whether a call is one of a client session that has a link to the server for itself.
func (s *Server) bound(c *rpc.Call) bool {
	if c.Client.Session == "" {
		return false
	}
	c = s.lent(c)
	known := s.eras.Load()
	return known != nil && keyOf(c, known.serve(c)).session != ""
}

// owned returns the call with what the server handed out as it did.
func (m *member) owned(c *rpc.Call) *rpc.Call {
	name, text := handed(c)
	tag, own := untag(text)
	if tag == "" {
		return c
	}
	out := *c
	out.Message = c.Message.Fork()
	out.Message.Set(name, rpc.AppendString(nil, own))
	if out.Target.Own == text {
		out.Target.Own = own
	}
	return &out
}

// tagging is a reply in which what the server hands out is marked.
type tagging struct {
	*rpc.Reply
	tag  string
	call *rpc.Call
}

// Next implements [rpc.Source].
func (t *tagging) Next() (*rpc.Message, error) {
	m, err := t.Reply.Next()
	if err != nil || !m.IsResponse() || m.Err != nil {
		return m, err
	}
	if t.call.Method.Dest == rpc.Every {
		return mark(m, "nextCursor", t.tag), nil
	}
	kind, _ := m.Text("resultType")
	switch {
	case kind == "input_required":
		return mark(m, "requestState", t.tag), nil
	case kind == "task", strings.HasPrefix(t.call.Message.Method, "tasks/"):
		return mark(m, "taskId", t.tag), nil
	}
	return m, nil
}

// mark puts a tag before a member, if it is there.
func mark(m *rpc.Message, name, tag string) *rpc.Message {
	text, ok := m.Text(name)
	if !ok {
		return m
	}
	out := m.Fork()
	out.Set(name, rpc.AppendString(nil, tag+text))
	return out
}

// prefer returns the server that a call belongs to: the one that handed out what it carries, or where its session is.
func (p *Pool) prefer(c *rpc.Call) *upstream.Backend {
	if _, text := handed(c); text != "" {
		if tag, _ := untag(text); tag != "" {
			if m := p.of(tag); m != nil {
				return m.Backend
			}
			return nil
		}
	}
	if c.Client.Session == "" || c.Client.Era != rpc.Legacy || p.cfg.Sampling == nil && mcp.Features(c.Client.Capabilities) == "" {
		return nil
	}
	if m, ok := p.pins.Load(c.Client.Session); ok {
		return m.(*member).Backend //nolint:forcetypeassert // nothing else is in there
	}
	return nil
}
