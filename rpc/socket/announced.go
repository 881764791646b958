//go:build unix

package socket

import "syscall"

// announced makes a system call that the scheduler is told of, again where a signal came between.
func announced(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR { //nolint:errorlint // system calls return it bare
			return max(n, 0), err
		}
	}
}
