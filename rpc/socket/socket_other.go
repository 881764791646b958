//go:build !unix

package socket

import (
	"errors"
	"net"
)

// Socket has no values here.
type Socket struct{}

// Of returns nil.
func Of(net.Conn) *Socket { return nil }

// Look is for where there are sockets.
func (*Socket) Look() State { return Gone }

// Read is for where there are sockets.
func (*Socket) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is for where there are sockets.
func (*Socket) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// WriteNow is for where there are sockets.
func (*Socket) WriteNow([]byte) (int, error) { return 0, errors.ErrUnsupported }

// WriteSome is for where there are sockets.
func (*Socket) WriteSome([][]byte) (int, error) { return 0, errors.ErrUnsupported }

// Push is for where there are sockets.
func (*Socket) Push(Taker) error { return errors.ErrUnsupported }

// Receive is for where there are sockets.
func (*Socket) Receive() (*Buffer, int, error) { return nil, 0, errors.ErrUnsupported }
