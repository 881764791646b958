//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Socket is a connection. One goroutine at a time may read or look, and one may write at the same time.
type Socket struct {
	raw syscall.RawConn
	// Of what is written.
	writeNow  func(fd uintptr) // made once, as those below, since a closure per call is an allocation per call
	out       transfer
	write     func(fd uintptr) bool
	writeSome func(fd uintptr)
	parts     [][]byte // that writeSome writes
	// Of what is read.
	to                  Taker // of what is received
	in                  transfer
	read, receive, push func(fd uintptr) bool
	got                 *Buffer // what is received
	peek                func(fd uintptr)
	one                 [1]byte // what is looked at
	is                  State
	nc                  net.Conn
}

// transfer is a call that runs.
type transfer struct {
	p   []byte // what is left of it
	n   int
	err error
}

// Of returns the socket of a connection; nil if the connection is none that the system knows, as one of TLS.
func Of(nc net.Conn) *Socket {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{nc: nc, raw: raw}
	s.bindReading()
	s.bindWriting()
	return s
}

func (s *Socket) bindReading() {
	s.read = func(fd uintptr) bool {
		s.in.n, s.in.err = receive(fd, s.in.p)
		return s.in.err != syscall.EAGAIN //nolint:errorlint // system calls return it bare
	}
	s.receive = func(fd uintptr) bool {
		s.got = s.buffered(fd)
		return s.got != nil || s.in.err != syscall.EAGAIN //nolint:errorlint // likewise
	}
	s.push = func(fd uintptr) bool {
		for {
			b := s.buffered(fd)
			if b == nil {
				return s.in.err != syscall.EAGAIN //nolint:errorlint // likewise
			}
			if !s.to.Take(b, s.in.n) {
				return true
			}
		}
	}
	s.peek = func(fd uintptr) {
		switch n, err := look(fd, &s.one); {
		case err == syscall.EAGAIN: //nolint:errorlint // likewise
			s.is = Quiet
		case err == nil && n > 0:
			s.is = Readable
		default:
			s.is = Gone
		}
	}
}

// buffered reads once into a buffer, which it returns if there is something in it.
func (s *Socket) buffered(fd uintptr) *Buffer {
	b := NewBuffer()
	if s.in.n, s.in.err = receive(fd, b[:]); s.in.n == 0 {
		b.Free()
		return nil
	}
	return b
}

func (s *Socket) bindWriting() {
	s.writeNow = func(fd uintptr) { s.out.n, s.out.err = send(fd, s.out.p) }
	s.writeSome = func(fd uintptr) { s.out.n, s.out.err = sendParts(fd, s.parts) }
	s.write = func(fd uintptr) bool {
		for len(s.out.p) > 0 {
			n, err := send(fd, s.out.p)
			if err == syscall.EAGAIN { //nolint:errorlint // likewise
				return false
			}
			if s.out.err = err; err != nil {
				return true
			}
			s.out.p = s.out.p[n:]
			s.out.n += n
		}
		return true
	}
}

// Read is what the Read of a [net.Conn] is: it waits until there is something, and returns io.EOF at the end.
func (s *Socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in = transfer{p: p}
	return s.take(s.read)
}

// Receive is Read into a buffer that nobody needs as long as there is nothing to read. Without an error the buffer is the caller's to
// free.
func (s *Socket) Receive() (*Buffer, int, error) {
	n, err := s.take(s.receive)
	b := s.got
	s.got = nil
	return b, n, err
}

// Push waits for bytes again and again, and gives away what each read returns, until no more is wanted. What waits is small then, and who
// takes the bytes has them at once. A connection that is closed meanwhile stays open until Take returns.
func (s *Socket) Push(to Taker) error {
	s.to = to
	_, err := s.take(s.push)
	s.to = nil
	return err
}

func (s *Socket) take(how func(fd uintptr) bool) (int, error) {
	err := s.raw.Read(how)
	n, failed := s.in.n, s.in.err
	s.in = transfer{}
	switch {
	case err != nil:
		return 0, s.fault("read", err)
	case failed != nil:
		return 0, s.fault("read", os.NewSyscallError("read", failed))
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Look reports, without waiting, whether the peer has sent something, has gone, or is quiet.
func (s *Socket) Look() State {
	s.is = Gone
	if s.raw.Control(s.peek) != nil {
		return Gone
	}
	return s.is
}

// Write is what the Write of a [net.Conn] is: it waits until all was taken.
func (s *Socket) Write(p []byte) (int, error) {
	s.out.p = p
	return s.wrote(s.raw.Write(s.write))
}

// WriteNow writes as much of p, which is not empty, as the system takes at once, and nothing without an error where it takes nothing.
// As it does not wait, no deadline ends it.
func (s *Socket) WriteNow(p []byte) (int, error) {
	s.out.p = p
	return s.wrote(s.raw.Control(s.writeNow))
}

// WriteSome writes as much of some parts, of which one is not empty, as the system takes at once, in the way of WriteNow. On some systems
// that is at most the first part.
func (s *Socket) WriteSome(parts [][]byte) (int, error) {
	s.parts = parts
	n, err := s.wrote(s.raw.Control(s.writeSome))
	s.parts = nil
	return n, err
}

// wrote returns what came of a write.
func (s *Socket) wrote(err error) (int, error) {
	n, failed := s.out.n, s.out.err
	s.out = transfer{}
	switch {
	case err != nil:
		return n, s.fault("write", err)
	case failed != nil && failed != syscall.EAGAIN: //nolint:errorlint // system calls return it bare
		return n, s.fault("write", os.NewSyscallError("write", failed))
	}
	return n, nil
}

// fault makes the error that package net makes.
func (s *Socket) fault(op string, err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	local := s.nc.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: s.nc.RemoteAddr(), Err: err}
}
