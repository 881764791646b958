package takeover

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sameUser refuses a process of another user, and returns which one it is (unix(7), SO_PEERCRED).
func sameUser(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || failed != nil {
		return 0, errors.Join(err, failed)
	}
	if int(who.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("process %d is of user %d, this one of %d", who.Pid, who.Uid, os.Geteuid())
	}
	return int(who.Pid), nil
}
