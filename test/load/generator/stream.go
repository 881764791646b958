package generator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// streamBuffer is small because there are thousands of streams.
const streamBuffer = 1 << 10

// Session is a legacy session of a client without capabilities, on a connection of its own. It is for one goroutine, but
// Close may be called by any.
type Session struct {
	conn    *conn
	config  *Config
	at      endpoint
	id      string
	pending []byte // events that were read and not returned
}

// OpenSession opens a session at the URL. It calls from the local address, unless that is the zero value: one address has
// no more than some 28,000 ports.
func OpenSession(ctx context.Context, url string, local netip.Addr) (*Session, error) {
	c := &Config{Era: Legacy, Connections: 1, Routes: []Route{{URL: url}}, Timeout: 3 * defaultTimeout}
	groups, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	s := &Session{config: c, at: groups[0][0]}
	var from net.Addr
	if local.IsValid() {
		from = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	if s.conn, err = dial(ctx, s.at.address, from, c.Timeout, streamBuffer); err != nil {
		return nil, err
	}
	if s.id, err = openSession(s.conn, c, s.at); err != nil {
		s.conn.close()
		return nil, err
	}
	return s, nil
}

// Listen opens the session's GET stream. From then on the connection is good for Next only.
func (s *Session) Listen() error {
	request := requestHead("GET", s.config, s.at, s.id, revisionField(Legacy), "Accept: text/event-stream")
	h, err := s.conn.send(append(request, "\r\n"...))
	if err != nil {
		return fmt.Errorf("GET: %w", err)
	}
	if h.status != 200 || !h.events || !h.chunked {
		return fmt.Errorf("GET: status %d and no event stream", h.status)
	}
	return s.conn.socket.SetDeadline(time.Time{}) // it may stay silent for long
}

// Next waits for the next message on the stream. The message is valid until the next call. At the end of the stream the
// error is io.EOF.
func (s *Session) Next() ([]byte, error) {
	for {
		if end := eventEnd(s.pending); end > 0 {
			message, _ := nextEvent(s.pending[:end])
			if s.pending = s.pending[end:]; len(message) > 0 {
				return message, nil
			}
			continue
		}
		chunk, err := s.conn.chunk()
		if err != nil {
			return nil, err
		}
		if chunk == nil {
			return nil, io.EOF
		}
		s.pending = append(slices.Clip(s.pending), chunk...)
	}
}

// CountTools lists the tools, before Listen, and returns their number on the first page.
func (s *Session) CountTools() (int, error) {
	r, err := s.conn.roundTrip(post(s.config, s.at, s.id, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, revisionField(Legacy)))
	if err != nil {
		return 0, err
	}
	body := r.body
	if r.events {
		body, _ = nextEvent(body)
	}
	n := 0
	err = rawjson.Array(rawjson.Member(rawjson.Member(body, "result"), "tools"), func([]byte) bool {
		n++
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("tools/list: %d %.200q", r.status, r.body)
	}
	return n, nil
}

// Close closes the connection without a word, as a client that is killed does.
func (s *Session) Close() { s.conn.close() }

// eventEnd returns the length of the first event with the empty line after it, or 0 when it is not all there.
func eventEnd(stream []byte) int {
	end := 0
	for _, empty := range []string{"\n\n", "\n\r\n"} {
		if at := bytes.Index(stream, []byte(empty)); at >= 0 && (end == 0 || at+len(empty) < end) {
			end = at + len(empty)
		}
	}
	return end
}
