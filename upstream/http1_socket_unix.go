//go:build unix

package upstream

import (
	"net"
	"syscall"
)

// socket is the non-blocking view of a connection: what it is ready for can be asked without a goroutine that waits in it.
// It is used by one goroutine at a time.
type socket struct {
	raw   syscall.RawConn
	peek  func(fd uintptr) bool // made once, since a closure per call is an allocation per call
	put   func(fd uintptr) bool
	state socketState
	one   [1]byte
	out   *message
	n     int
	err   error
}

// newSocket returns nil if the connection is none that the system knows.
func newSocket(nc net.Conn) *socket {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.peek = func(fd uintptr) bool {
		// Sockets of package net do not block.
		n, _, err := syscall.Recvfrom(int(fd), s.one[:], syscall.MSG_PEEK)
		for err == syscall.EINTR {
			n, _, err = syscall.Recvfrom(int(fd), s.one[:], syscall.MSG_PEEK)
		}
		switch {
		case err == syscall.EAGAIN:
			s.state = quiet
		case err == nil && n > 0:
			s.state = readable
		}
		return true
	}
	s.put = func(fd uintptr) bool {
		s.n, s.err = writeParts(int(fd), s.out)
		return true
	}
	return s
}

// look reports whether the peer has sent something, has gone, or is quiet.
func (s *socket) look() socketState {
	s.state = gone
	if err := s.raw.Read(s.peek); err != nil {
		return gone
	}
	return s.state
}

// write writes as much of a message as the system takes at once, and nothing without an error where it takes nothing.
func (s *socket) write(msg *message) (int, error) {
	for {
		s.out, s.n, s.err = msg, 0, nil
		err := s.raw.Write(s.put)
		s.out = nil
		if err == nil {
			err = s.err
		}
		switch {
		case err == syscall.EAGAIN: //nolint:errorlint // system calls return it bare
			return 0, nil
		case err == syscall.EINTR: //nolint:errorlint // system calls return it bare
		case err != nil:
			return 0, err
		default:
			return s.n, nil
		}
	}
}
