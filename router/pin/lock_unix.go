//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pin

import (
	"os"
	"syscall"
)

// lock keeps other processes from changing the files of a directory until it is released.
func lock(dir string) (release func(), err error) {
	f, err := os.Open(dir) //nolint:gosec // the operator's own data directory
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close() // the error that counts is the lock's
		return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
	}
	return func() { _ = f.Close() }, nil // which releases it
}
