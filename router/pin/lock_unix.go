//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pin

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockWait bounds how long another process is waited for: lists of upstreams wait meanwhile.
const lockWait = 2 * time.Second

// lock keeps other processes from changing the files of a directory until it is released.
func lock(dir string) (release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which releases it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			_ = f.Close() // the error that counts is the lock's
			return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
		}
	}
}
