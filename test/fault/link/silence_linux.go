package link

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// silence makes a socket lose all packets that come for it, before they are acknowledged, by a filter that lets none pass
// (socket(7), SO_ATTACH_FILTER).
func silence(socket syscall.Conn, on bool) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if on {
			none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
			return
		}
		if set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); errors.Is(set, unix.ENOENT) {
			set = nil // there was none
		}
	})
	if err = errors.Join(err, set); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("silence: %w", err)
	}
	return nil
}
