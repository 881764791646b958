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
// lost, so that then everything may have changed.
func (l *legacyHTTP) listen(at *upstream.Endpoint) {
	pause := streamFirst
	for opened := 0; ; {
		since := time.Now()
		resp, err := l.d.client.Do(l.ended, &upstream.Request{Method: http.MethodGet, Endpoint: at})
		switch {
		case err != nil:
		case resp.Status == http.StatusOK && mediaType(resp) == typeEvents:
			if opened++; opened > 1 {
				l.d.s.announceChange(l.about)
			}
			if wait := l.hear(resp); wait > 0 {
				pause = min(max(wait, streamLeast), streamLast)
			}
		case resp.Status < 500:
			_ = resp.Close()
			l.unheard() // it offers none, or the session is gone, which the next call will find
			return
		default:
			_ = resp.Close()
		}
		if time.Since(since) > streamLong {
			pause = streamFirst
		}
		if !sleep(l.ended, pause) {
			return
		}
		pause = min(2*pause, streamLast)
	}
}

// unheard notes that the server has no stream, and ends the calls that waited for their
// response on it.
func (l *legacyHTTP) unheard() {
	l.streamed.Store(false)
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

// hear takes messages from the stream until it ends, and returns how long the server asks
// to wait then; 0 if it does not say.
func (l *legacyHTTP) hear(resp *upstream.Response) (retry time.Duration) {
	defer func() { _ = resp.Close() }()
	events := frame.NewSSEReader(resp, streamEvent)
	for {
		ev, err := events.Next()
		if err != nil {
			return retry
		}
		if ev.Retry > 0 {
			retry = ev.Retry
		}
		if len(ev.Data) == 0 {
			continue
		}
		b := l.d.pool.get()
		b.bytes = append(b.bytes, ev.Data...)
		m, err := rpc.Parse(b.bytes, upstreamLimits)
		if err != nil || !l.route(parcel{m, b}) {
			l.d.pool.put(b)
		}
	}
}

// route gives a message of the stream to whom it belongs, and reports whether it was
// passed on. Questions that come here do not say which call they belong to, so that no client
// can be asked them.
func (l *legacyHTTP) route(p parcel) bool {
	m := p.message
	switch {
	case m.IsResponse():
		id, _ := ours(m.ID)
		k := l.find(id)
		return k != nil && k.box.put(p)
	case m.IsRequest() && m.Method == mcp.Ping:
		l.answer(rpc.NewResult(m.ID, []byte("{}")))
	case m.IsRequest():
		l.answer(refusal(m))
	case m.Method == mcp.Progress:
		k := l.find(progressOf(m))
		return k != nil && k.box.put(p)
	case judgeNotification(m) == announce:
		l.d.s.announce(m)
	}
	return false
}
