//go:build !linux

package takeover

import "net"

// sameUser leaves it to the permissions of the socket.
func sameUser(*net.UnixConn) (pid int, err error) { return 0, nil }
