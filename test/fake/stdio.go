package fake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// stdioKey is the one session of a stdio connection.
const stdioKey = "stdio"

// ServeStdio serves one client on lines until in ends, or until the first line after ctx has ended. Then it cancels the
// calls in flight and returns when they have returned. The error is that of reading; a plain end is none. Requests run
// concurrently and are answered as they finish.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	conn := &stdioConn{server: s, lines: lineWriter{out: out}, running: &running}
	reader := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(reader)
		if len(line) > 0 && ctx.Err() == nil {
			conn.receive(ctx, line)
		}
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// stdioConn is one client on stdio.
type stdioConn struct {
	server  *Server
	lines   lineWriter
	running *sync.WaitGroup
}

// receive acts on one line, which it may keep.
func (c *stdioConn) receive(ctx context.Context, line []byte) {
	s := c.server
	s.log.line(line)
	m, failure := s.parse(line)
	if failure != nil {
		_ = c.lines.write(appendError(nil, m.id, failure))
		return
	}
	switch {
	case m.method == "notifications/initialized":
		c.listenAlways(ctx)
	case m.method == "notifications/cancelled":
		s.inflight.cancel(stdioKey, rawjson.Member(m.params, "requestId"))
	case m.request():
		c.serve(ctx, &m)
	}
}

// serve answers a request in a goroutine of its own.
func (c *stdioConn) serve(ctx context.Context, m *message) {
	s := c.server
	era := Legacy
	if s.modern(m.revision) {
		era = Modern
		if failure := s.checkMeta(m); failure != nil {
			_ = c.lines.write(appendError(nil, m.id, failure))
			return
		}
	}
	call := newCall(m, era)
	call.notify = c.lines.write
	ctx, done := s.inflight.start(ctx, stdioKey, m.id)
	c.running.Go(func() {
		defer done()
		if answer, _ := s.answer(ctx, call, nil); answer != nil {
			_ = c.lines.write(answer) // a client that has gone away needs no answer
		}
	})
}

// listenAlways sends broadcasts to a legacy client, which hears them without asking.
func (c *stdioConn) listenAlways(ctx context.Context) {
	streams := &c.server.streams
	st := streams.open(stdioKey)
	c.running.Go(func() {
		defer streams.leave(stdioKey, st)
		_ = streams.pump(ctx, st, func(n broadcast) error { return c.lines.write(n.plain) })
	})
}

// lineWriter writes messages as lines, one at a time.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

// write writes one message. A line end inside it can only be white space between tokens and becomes a space.
func (w *lineWriter) write(message []byte) error {
	if bytes.IndexByte(message, '\n') >= 0 || bytes.IndexByte(message, '\r') >= 0 {
		message = bytes.ReplaceAll(bytes.ReplaceAll(message, []byte("\r"), []byte(" ")), []byte("\n"), []byte(" "))
	}
	line := append(append(make([]byte, 0, len(message)+1), message...), '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(line)
	return err
}

var errLongLine = errors.New("a line is longer than 64 MiB")

// readLine returns the next line without its end, in memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxBody {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), err
		}
	}
}
