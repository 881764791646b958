//go:build unix && !linux && !darwin

package upstream

import "syscall"

// writeParts writes the first part of a message that is left.
func writeParts(fd int, msg *message) (int, error) { return syscall.Write(fd, msg.first()) }
