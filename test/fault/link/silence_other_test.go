//go:build !linux

package link

import (
	"net"
	"testing"
)

func unacknowledged(*testing.T, *net.TCPConn) uint32 { return 0 }
