package mcpserver

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// listening is a stream on which a modern server tells what changes (MCP 2026-07-28,
// Subscriptions). What it is asked for is fixed as long as it lasts.
type listening struct {
	link   link
	filter string            // what was asked for
	agreed map[interest]bool // what the server tells of
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

// listen has the server tell of its lists, of resources and of tasks. Where something else was
// wanted before, the new stream begins before the old one ends, so that
// nothing is missed in between.
func (k *keeper) listen(ctx context.Context, l link, wants []interest) (map[interest]error, error) {
	k.missed = k.missed || k.link != nil // it was a legacy server
	k.link, k.held = nil, nil
	filter := filterOf(l.description(), wants)
	if st := k.stream; st == nil || st.link != l || st.filter != filter {
		if filter == "{}" {
			k.hangUp()
			refused := refuseAll(wants, k.unsupported())
			k.agreed(ctx, l, wants, refused)
			return refused, nil
		}
		capabilities := "{}"
		if slices.ContainsFunc(wants, func(want interest) bool { return want.task }) {
			capabilities = tasksDeclared
		}
		next, err := k.begin(ctx, l, filter, capabilities)
		if refusal, ok := errors.AsType[*rpc.WireError](err); ok {
			return k.refused(ctx, l, wants, refusal)
		}
		if err != nil {
			return nil, err
		}
		k.replace(next)
	}
	refused := map[interest]error{}
	for _, want := range wants {
		if k.stream == nil || !k.stream.agreed[want] {
			refused[want] = k.unsupported()
		}
	}
	k.agreed(ctx, l, wants, refused)
	return refused, nil
}

// replace puts a stream in the place of the one before. If that had ended already, what
// was told in between is lost.
func (k *keeper) replace(next *listening) {
	select {
	case <-k.stream.over():
		k.missed = true
	default:
	}
	k.hangUp()
	k.stream = next
}

// refused is the outcome where a server refuses a stream as a whole. It may do so for a
// task that it has forgotten, which must not cost anybody the rest.
func (k *keeper) refused(ctx context.Context, l link, wants []interest, why error) (map[interest]error, error) {
	rest := slices.DeleteFunc(slices.Clone(wants), func(want interest) bool { return want.task })
	if len(rest) == len(wants) {
		k.missed = k.missed || k.stream != nil
		k.hangUp()
		for _, want := range wants {
			k.unserved[want] = true
		}
		return refuseAll(wants, why), nil
	}
	refused, err := k.listen(ctx, l, rest)
	if err != nil {
		return nil, err
	}
	for _, want := range wants {
		if want.task {
			refused[want] = why
			k.unserved[want] = true
		}
	}
	return refused, nil
}

// report tells how a task is doing, since nobody did while there was no stream.
func (k *keeper) report(ctx context.Context, l link, id string) {
	m := introduced(rpc.NewRequest(rpc.NumberID(0), mcp.TasksGet, taskParams(id)), l.hop(), tasksDeclared)
	m, err := ask(ctx, l, m)
	if err != nil || m.Err != nil {
		return // it is not there any more, or the client hears when the stream is begun again
	}
	if o, err := rpc.ReadObject(m.Result); err == nil {
		k.s.announce(rpc.NewNotification(mcp.TaskChanged, o.Without("resultType")))
	}
}

// begin opens a stream and waits for the server to acknowledge it. It returns nil for one
// on which the server would tell nothing.
func (k *keeper) begin(ctx context.Context, l link, filter, capabilities string) (*listening, error) {
	live, cancel := context.WithCancelCause(k.s.life)
	deadline := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	fail := func(err error) (*listening, error) {
		deadline()
		cancel(nil)
		return nil, err
	}
	x := ownExchange(listenRequest(filter, l.hop(), capabilities), l.hop())
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
	st.agreed = map[interest]bool{}
	text, _ := ack.Get("notifications")
	o, err := rpc.ReadObject(text)
	if err != nil {
		return false
	}
	for _, l := range mcp.ListChanges {
		v, _ := o.Get(l.Filter)
		something = something || string(v) == "true"
	}
	for _, kind := range [...]struct {
		task   bool
		filter string
	}{{false, mcp.FilterResources}, {true, mcp.FilterTasks}} {
		list, _ := o.Get(kind.filter)
		items, err := rpc.Elements(list)
		if err != nil {
			continue
		}
		for _, item := range items {
			if id, err := rpc.Unquote(item); err == nil {
				st.agreed[interest{kind.task, id}], something = true, true
			}
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
