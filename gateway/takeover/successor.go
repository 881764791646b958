package takeover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrNobody is the error of [Ask] where there is nobody to take over from.
var ErrNobody = errors.New("takeover: nobody is there")

// Successor is a process that takes over.
type Successor struct {
	line    *line
	sockets Sockets
}

// Ask asks who offers something at a path for its sockets. It goes on as before until [Successor.Await].
func Ask(ctx context.Context, path string) (*Successor, error) {
	if !canPass {
		return nil, fmt.Errorf("takeover: %w", errors.ErrUnsupported)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("takeover: %w", err)
	}
	s := &Successor{line: &line{conn: c.(*net.UnixConn)}}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err = sameUser(s.line.conn); err == nil {
		err = s.line.say(wordTakeover)
	}
	if err == nil {
		s.sockets, err = s.line.takeSockets()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("takeover: %s does not answer as a gateway would: %w", path, err), c.Close())
	}
	return s, nil
}

// Listeners returns what the sockets accept, by their names. They are the caller's, who closes them.
func (s *Successor) Listeners() (map[string]net.Listener, error) { return s.sockets.Listeners() }

// Listeners returns listeners on the sockets, which have to be closed apart from them.
func (s Sockets) Listeners() (map[string]net.Listener, error) {
	out := make(map[string]net.Listener, len(s))
	for name, f := range s {
		l, err := net.FileListener(f)
		if err != nil {
			for _, l := range out {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("socket %s: %w", name, err)
		}
		out[name] = l
	}
	return out, nil
}

// Await tells the predecessor to finish, and waits until it has, or has ended in another way: the state is free then. The
// error is that of ctx.
func (s *Successor) Await(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.line.conn.SetDeadline(time.Unix(1, 0)) })()
	err := s.line.say(wordReady)
	if err == nil {
		err = s.line.expect(wordYours)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("takeover: %w", context.Cause(ctx))
	}
	return nil // a predecessor that has ended keeps nothing
}

// Serving tells the predecessor that it is not needed any more. There may be none by now.
func (s *Successor) Serving() { _ = s.line.say(wordServing) }

// Close ends the conversation. Without [Successor.Serving] before, the predecessor serves on.
func (s *Successor) Close() error { return errors.Join(s.line.conn.Close(), s.sockets.Close()) }
