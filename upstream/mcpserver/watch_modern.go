package mcpserver

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// listening is a stream on which a modern server tells what changes (MCP 2026-07-28,
// Subscriptions). What it is asked for is fixed as long as it lasts.
type listening struct {
	link   link
	filter string          // what was asked for
	agreed map[string]bool // the URIs that the server tells of
	reply  *rpc.Reply
	since  time.Time
	ended  chan struct{}
}

// over is closed when the stream has ended. Nil is a stream that never does.
func (st *listening) over() <-chan struct{} {
	if st == nil {
		return nil
	}
	return st.ended
}

// close ends the stream, if there is one.
func (st *listening) close() {
	if st != nil {
		_ = st.reply.Close()
	}
}

// listen has the server tell of its lists and of URIs. Where something else was
// wanted before, the new stream begins before the old one ends, so that
// nothing is missed in between.
func (k *keeper) listen(ctx context.Context, l link, uris []string) (map[string]error, error) {
	k.link, k.held = nil, nil
	about := l.description()
	filter := filterOf(about, uris)
	if st := k.stream; st == nil || st.link != l || st.filter != filter {
		if filter == "{}" {
			k.hangUp()
			return nil, nil
		}
		next, err := k.begin(ctx, l, filter)
		if refusal, ok := errors.AsType[*rpc.WireError](err); ok {
			k.hangUp()
			return refuseAll(uris, refusal), nil
		}
		if err != nil {
			return nil, err
		}
		k.hangUp()
		k.stream = next
	}
	refused := map[string]error{}
	for _, uri := range uris {
		if k.stream == nil || !k.stream.agreed[uri] {
			refused[uri] = k.unsupported()
		}
	}
	k.catchUp(about, uris, refused)
	return refused, nil
}

// begin opens a stream and waits for the server to acknowledge it. It returns nil for one
// on which the server would tell nothing.
func (k *keeper) begin(ctx context.Context, l link, filter string) (*listening, error) {
	live, cancel := context.WithCancelCause(k.s.life)
	deadline := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	fail := func(err error) (*listening, error) {
		deadline()
		cancel(nil)
		return nil, err
	}
	x := ownExchange(listenRequest(filter, l.hop()), l.hop())
	x.standing = true
	source, err := l.send(live, x)
	if err != nil {
		return fail(err)
	}
	st := &listening{link: l, filter: filter, reply: rpc.NewReply(source), since: time.Now(), ended: make(chan struct{})}
	something, err := st.acknowledged()
	if err == nil && !deadline() {
		err = context.Cause(ctx)
	}
	if err != nil || !something {
		st.close()
		return fail(err)
	}
	if !k.s.life.run(func() {
		defer close(st.ended)
		defer cancel(nil)
		defer st.close()
		st.pull()
	}) {
		st.close()
		return fail(errClosed)
	}
	return st, nil
}

// acknowledged waits for the acknowledgement, which says what the server will tell of;
// false if that is nothing.
func (st *listening) acknowledged() (something bool, err error) {
	for {
		m, err := st.reply.Next()
		switch {
		case err != nil:
			return false, err
		case m.Err != nil:
			return false, m.Clone().Err
		case m.IsResponse():
			return false, io.ErrUnexpectedEOF
		case m.Method == mcp.Acknowledged:
			return st.agree(m), nil
		}
	}
}

// agree reads what the server will tell of.
func (st *listening) agree(ack *rpc.Message) (something bool) {
	st.agreed = map[string]bool{}
	text, _ := ack.Get("notifications")
	o, err := rpc.ReadObject(text)
	if err != nil {
		return false
	}
	for _, kind := range listKinds {
		v, _ := o.Get(kind.filter)
		something = something || string(v) == "true"
	}
	list, _ := o.Get("resourceSubscriptions")
	items, err := rpc.Elements(list)
	if err != nil {
		return something
	}
	for _, item := range items {
		if uri, err := rpc.Unquote(item); err == nil {
			st.agreed[uri], something = true, true
		}
	}
	return something
}

// pull takes what the server tells until the stream ends. The notifications belong to
// no call, so that the link has passed them on before they could come here.
func (st *listening) pull() {
	for {
		if m, err := st.reply.Next(); err != nil || m.IsResponse() {
			return
		}
	}
}

// filterOf is what a subscription asks for: changes of the lists whose changes the server
// promises to tell of, and of resources.
func filterOf(d *Description, uris []string) string {
	f := []byte{'{'}
	member := func(name string) {
		if len(f) > 1 {
			f = append(f, ',')
		}
		f = append(rpc.AppendString(f, name), ':')
	}
	for _, kind := range listsOf(d) {
		member(kind.filter)
		f = append(f, "true"...)
	}
	for i, uri := range uris {
		if i == 0 {
			member("resourceSubscriptions")
			f = append(f, '[')
		} else {
			f = append(f, ',')
		}
		f = rpc.AppendString(f, uri)
	}
	if len(uris) > 0 {
		f = append(f, ']')
	}
	return string(append(f, '}'))
}

func listenRequest(filter string, h *hop) *rpc.Message {
	m := rpc.NewRequest(rpc.NumberID(0), mcp.Listen, append([]byte(`{"notifications":`+filter), '}'))
	m.SetMeta(mcp.MetaVersion, h.version)
	m.SetMeta(mcp.MetaCapabilities, []byte("{}"))
	m.SetMeta(mcp.MetaClientInfo, h.identity)
	return m
}
