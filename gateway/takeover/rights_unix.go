//go:build unix

package takeover

import (
	"fmt"
	"syscall"
)

// canPass is whether processes can pass descriptors to each other.
const canPass = true

func rightsOf(fds []int) []byte { return syscall.UnixRights(fds...) }

func rightsSize(n int) int { return syscall.CmsgSpace(4 * n) }

// descriptors returns the descriptors that came with a message. They end with this process's image.
func descriptors(aside []byte) (fds []int, err error) {
	messages, err := syscall.ParseSocketControlMessage(aside)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	for _, m := range messages {
		got, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return fds, fmt.Errorf("control message: %w", err)
		}
		fds = append(fds, got...)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	return fds, nil
}
