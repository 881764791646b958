package mcpserver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

const (
	// discoverTimeout bounds the probe over HTTP, where silence proves nothing.
	discoverTimeout = 10 * time.Second
	// describeLife is how long it is believed what a server says of itself, if it does
	// not want to be believed longer.
	describeLife = time.Minute
)

// modernHTTP is the link to a modern server over HTTP. It is stateless: each request
// says all there is to say (MCP 2026-07-28, Streamable HTTP).
type modernHTTP struct {
	d     *httpDialer
	post  *upstream.Endpoint
	spoke *hop
	about atomic.Pointer[answered]
	ids   atomic.Uint64
}

// answered is what a server said of itself, and when.
type answered struct {
	Description
	at time.Time
}

var (
	_ link    = (*modernHTTP)(nil)
	_ carrier = (*modernHTTP)(nil)
)

func newModernHTTP(d *httpDialer, h hello) (*modernHTTP, error) {
	post, err := d.endpoint(
		upstream.Field{Name: "Content-Type", Value: typeJSON},
		upstream.Field{Name: mcp.HeaderVersion, Value: string(mcp.LatestModern)})
	if err != nil {
		return nil, err
	}
	return &modernHTTP{d: d, post: post, spoke: newHop(rpc.Modern, mcp.LatestModern, h.info, nil)}, nil
}

func (l *modernHTTP) hop() *hop                 { return l.spoke }
func (l *modernHTTP) description() *Description { return &l.about.Load().Description }
func (*modernHTTP) alive() bool                 { return true }
func (*modernHTTP) busy() bool                  { return false } // closing it would harm no call
func (*modernHTTP) close(context.Context)       {}

// discover asks the server who it is. An HTTP status alone says that it is legacy only
// if it is one of those that legacy servers give to what they do not understand
// (MCP 2026-07-28, Versioning): a server that is overloaded or wants credentials has
// not said what it speaks.
func (l *modernHTTP) discover(ctx context.Context, h hello) error {
	ctx, cancel := context.WithTimeoutCause(ctx, discoverTimeout, errIdle)
	defer cancel()
	m, err := discover(ctx, l, h)
	if err != nil {
		if answer, ok := errors.AsType[*statusError](err); ok && answer.misunderstood() && !h.pinned {
			return errOtherEra
		}
		return l.d.s.fault.late(ctx, err)
	}
	about, err := judgeDiscover(m, h, overHTTP)
	if err == nil {
		l.about.Store(&answered{*about, time.Now()})
	}
	return err
}

// outdated reports whether what the server said of itself is older than it wants to be
// believed, or than is sensible.
func (l *modernHTTP) outdated(now time.Time) bool {
	a := l.about.Load()
	return now.Sub(a.at) > max(a.TTL, describeLife)
}

// send implements [link].
func (l *modernHTTP) send(ctx context.Context, x *exchange) (rpc.Source, error) {
	if !x.message.IsNotification() {
		x.number(l.ids.Add(1))
	}
	k := newHTTPCall(ctx, l.d, l, x)
	header, err := mirror(k.header[:0], x)
	if err != nil {
		k.finish(err)
		return nil, err
	}
	if err := k.post(l.post, header); err != nil {
		return nil, err
	}
	return k, nil
}

// mirror appends the header fields that repeat what the body says (SEP-2243).
func mirror(header []upstream.Field, x *exchange) ([]upstream.Field, error) {
	c := x.call
	header = append(header, upstream.Field{Name: mcp.HeaderMethod, Value: mcp.EncodeHeader(c.Message.Method)})
	if field := mcp.MirroredSubject(c.Message.Method); field != "" {
		name := c.Target.Own
		if name == "" || field != c.Method.Subject {
			name, _ = c.Message.Text(string(field))
		}
		header = append(header, upstream.Field{Name: mcp.HeaderName, Value: mcp.EncodeHeader(name)})
	}
	err := mcp.EachParam(c.Message, c.Target.ParamHeaders, func(name, value string) {
		header = append(header, upstream.Field{Name: name, Value: value})
	})
	return header, err
}

// lost implements [carrier].
func (l *modernHTTP) lost(k *httpCall, _ []byte, m *rpc.Message) bool {
	s := l.d.s
	if k.x.own || k.x.final || s.pinned || authorization(k.resp.Status) || !eraLost(k.resp.Status, m) {
		return false
	}
	return time.Since(l.about.Load().at) >= s.turns.wait()
}

// elsewhere implements [carrier]: a request's stream is the only one it has.
func (*modernHTTP) elsewhere() bool { return false }

// resumable implements [carrier]: a request whose stream is cut is lost.
func (*modernHTTP) resumable() *upstream.Endpoint { return nil }

// release implements [carrier]: closing the connection is all the server is told.
func (*modernHTTP) release(*httpCall, string) {}

// respond implements [carrier]: there are no questions.
func (*modernHTTP) respond(context.Context, *rpc.Message) error { return rpc.ErrNoQuestion }
