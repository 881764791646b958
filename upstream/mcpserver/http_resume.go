package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

const (
	// maxResumes bounds the attempts to go on with a stream without having heard
	// anything in between.
	maxResumes  = 5
	resumeFirst = 250 * time.Millisecond // where the server does not say how long to wait
	resumeLast  = 30 * time.Second
)

// place is how far a stream was read, as its server counts. The zero value is the
// beginning.
type place struct {
	id    string        // of the last event; empty if the server gives none
	retry time.Duration // how long the server wants to be left alone; 0 if it does not say
	tries int           // attempts to connect since the last event
}

// note takes down where an event leaves the stream.
func (p *place) note(ev frame.Event, last string) {
	if ev.HasID {
		p.id = last
	}
	if ev.Retry > 0 {
		p.retry = ev.Retry
	}
	p.tries = 0
}

// pause returns how long to wait before the next attempt, and counts it. What the server
// asks for is kept to (MCP 2025-11-25, SEP-1699), and lengthened if that does not help.
func (p *place) pause(first time.Duration) time.Duration {
	wait := min(first<<min(p.tries, 16), resumeLast)
	if p.retry > 0 && (p.tries == 0 || p.retry > wait) {
		wait = p.retry
	}
	p.tries++
	return wait
}

// header returns the fields of the request that goes on from here.
func (p *place) header() []upstream.Field {
	if p.id == "" {
		return nil
	}
	return []upstream.Field{{Name: mcp.HeaderLastEvent, Value: p.id}}
}

// interrupted deals with the end of a connection that brought no response. A server that
// numbers its events keeps the stream, and may have closed the connection on purpose
// (MCP 2025-11-25, Streamable HTTP, Resumability and SEP-1699). Without an error and a
// message the reading goes on.
func (k *httpCall) interrupted(err error) (*rpc.Message, error) {
	at := k.carrier.resumable()
	switch {
	case at != nil && k.place.id != "" && k.ctx.Err() == nil:
		return nil, k.resume(at, err)
	case errors.Is(err, io.EOF):
		return k.cut()
	}
	return nil, k.broken(err, "broke off its answer")
}

// resume connects to the stream again. The call was not made again by that, so that
// a failure leaves open whether it ran.
func (k *httpCall) resume(at *upstream.Endpoint, broke error) error {
	for k.place.tries < maxResumes {
		if !sleep(k.ctx, k.place.pause(resumeFirst)) {
			return k.broken(context.Cause(k.ctx), "")
		}
		resp, err := k.d.client.Do(k.ctx, &upstream.Request{Method: http.MethodGet, Endpoint: at, Header: k.place.header()})
		switch {
		case err != nil && k.ctx.Err() != nil:
			return k.broken(err, "")
		case err != nil:
			broke = err
			continue
		case resp.Status == http.StatusOK && mediaType(resp) == typeEvents:
			_ = k.resp.Close()
			k.resp = resp
			k.events.Reset(resp)
			return nil
		}
		_ = resp.Close()
		broke = &statusError{status: resp.Status}
		if resp.Status < 500 {
			break // it does not have the stream any more
		}
	}
	return k.d.s.fault.down(broke, "broke off its answer and did not go on with it; the call may have run")
}
