//go:build !linux

package gateway

import (
	"net"
	"time"
)

// setUserTimeout does nothing: this system has no such bound for one connection.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
