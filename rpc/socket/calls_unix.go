//go:build unix && (!linux || race || 386)

package socket

import "syscall"

// What follows is as elsewhere, announced to the scheduler: where that is the only way (Linux on 386 has one call for all that sockets do), and
// where the race detector has to know which bytes are written and which call happens before which.

// receive reads what is there.
func receive(fd uintptr, p []byte) (int, error) { return announced(syscall.Read, fd, p) }

// send writes what there is room for.
func send(fd uintptr, p []byte) (int, error) { return announced(syscall.Write, fd, p) }

// sendParts writes what there is room for of the first part that is not empty.
func sendParts(fd uintptr, parts [][]byte) (int, error) {
	for _, p := range parts {
		if len(p) > 0 {
			return send(fd, p)
		}
	}
	return 0, nil
}

// look reads a byte that stays.
func look(fd uintptr, one *[1]byte) (int, error) {
	return announced(func(fd int, p []byte) (int, error) {
		n, _, err := syscall.Recvfrom(fd, p, syscall.MSG_PEEK)
		return n, err
	}, fd, one[:])
}
