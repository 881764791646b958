//go:build !unix

package upstream

import "net"

// socket has no non-blocking view here: connections count as quiet until they are old, and writes may block.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) look() socketState { return gone }

func (*socket) write(*message) (int, error) { return 0, nil }
