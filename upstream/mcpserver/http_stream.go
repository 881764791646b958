package mcpserver

import (
	"context"
	"net/http"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

const (
	// streamEvent bounds an event of a session's own stream, which carries
	// notifications and no results.
	streamEvent = 1 << 20
	streamLeast = 250 * time.Millisecond // whatever the server asks for
	streamFirst = time.Second            // before a stream that was cut is opened again
	streamLast  = 30 * time.Second
	streamLong  = 10 * time.Second // a stream that lasted this long was a good one
)

// listen keeps the session's event stream open, on which the server tells what belongs to
// no call (MCP 2025-11-25, Streamable HTTP, Listening for Messages). What was told while it was cut is
// lost unless the server numbers its events, so that then everything may have changed.
func (l *legacyHTTP) listen() {
	var at place
	for opened := 0; ; {
		since := time.Now()
		resp, err := l.d.client.Do(l.ended, &upstream.Request{Method: http.MethodGet, Endpoint: l.get.Load(), Header: at.header()})
		switch {
		case err != nil:
		case resp.Status == http.StatusOK && mediaType(resp) == typeEvents:
			if opened++; opened > 1 && at.id == "" {
				l.d.s.announceChange(l.about)
				l.d.s.watch.gap()
			}
			l.listening()
			l.hear(resp, &at)
			at.retry = min(at.retry, streamLast)
		case resp.Status == http.StatusBadRequest && at.id != "":
			_ = resp.Close()
			at.id = "" // it has forgotten what came after that event
		case resp.Status < 500:
			_ = resp.Close()
			l.unheard() // it offers none, or the session is gone, which the next call will find
			return
		default:
			_ = resp.Close()
		}
		if time.Since(since) > streamLong {
			at.tries = 0
		}
		if !sleep(l.ended, max(at.pause(streamFirst), streamLeast)) {
			return
		}
	}
}

// streamPatience bounds how long a subscription waits for the stream: not all servers say
// that it has begun before there is something on it.
const streamPatience = time.Second

// listening notes that the stream has begun for the first time, or never will.
func (l *legacyHTTP) listening() { l.once.Do(func() { close(l.hearing) }) }

// awaitStream waits until the stream has begun, so that nothing is told before it.
func (l *legacyHTTP) awaitStream(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, streamPatience)
	defer cancel()
	select {
	case <-l.hearing:
	case <-l.ended.Done():
	case <-ctx.Done():
		l.listening() // the next need not wait again
	}
}

// unheard notes that the server has no stream, and ends the calls that waited for their
// response on it.
func (l *legacyHTTP) unheard() {
	l.streamed.Store(false)
	l.listening()
	l.d.s.watch.doubt()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.calls {
		k.box.fail(l.d.s.fault.unanswered(http.StatusAccepted))
	}
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hear takes messages from the stream until it ends, and notes how far it got.
func (l *legacyHTTP) hear(resp *upstream.Response, at *place) {
	defer func() { _ = resp.Close() }()
	events := frame.NewSSEReader(resp, streamEvent)
	for {
		ev, err := events.Next()
		if err != nil {
			return
		}
		tries := at.tries
		at.note(ev, events.LastEventID())
		if len(ev.Data) == 0 {
			at.tries = tries // a stream that says nothing is not a good one
			continue
		}
		l.accept(ev.Data)
	}
}

// accept takes one message, or a batch of them.
func (l *legacyHTTP) accept(text []byte) {
	b := l.d.pool.get()
	b.bytes = append(b.bytes, text...)
	m, err := rpc.Parse(b.bytes, upstreamLimits)
	for _, item := range l.hop().batch(b.bytes, err) {
		l.accept(item)
	}
	if err != nil || !l.route(parcel{m, b}) {
		l.d.pool.put(b)
	}
}

// route gives a message of the stream to whom it belongs, and reports whether it was
// passed on.
func (l *legacyHTTP) route(p parcel) bool {
	m := p.message
	switch {
	case m.IsResponse():
		id, _ := ours(m.ID)
		k := l.find(id)
		return k != nil && k.box.put(p)
	case m.IsRequest() && m.Method == mcp.Ping:
		l.answer(rpc.NewResult(m.ID, []byte("{}")))
	case m.IsRequest() && l.hop().judgeQuestion(m) == relay:
		l.assign(m.Clone())
	case m.IsRequest():
		l.answer(refusal(m.ID))
	case m.Method == mcp.Progress:
		k := l.find(progressOf(m))
		if k == nil {
			l.d.s.tasks.progress(l, m)
		}
		return k != nil && k.box.put(p)
	case judgeNotification(m) == announce:
		l.d.s.announce(m)
	case m.Method == mcp.Cancelled:
		l.recall(m)
	case m.Method == mcp.LogMessage:
		l.d.s.logAside(l, m)
	case m.Method == mcp.ElicitationComplete && !l.tell(m):
		l.d.s.visited(l, m)
	}
	return false
}
