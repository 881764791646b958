//go:build linux || darwin

package upstream

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// writeParts writes the parts of a message in one system call.
func writeParts(fd int, msg *message) (int, error) {
	if first := msg.first(); len(first) == msg.size() {
		return syscall.Write(fd, first)
	}
	return unix.Writev(fd, msg[:])
}
