//go:build !linux

package link

import (
	"errors"
	"syscall"
)

func silence(_ syscall.Conn, on bool) error {
	if on {
		return errors.New("silence: this system cannot lose packets of one socket")
	}
	return nil
}
