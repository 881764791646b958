//go:build unix

package gateway

import (
	"math"
	"syscall"
)

// maxDescriptors is how many descriptors the process may have open; 0 if that has no bound worth a name. Go raises the
// limit to what it may be as a program starts.
func maxDescriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 { //nolint:unconvert // it is signed on some systems
		return 0
	}
	return int(limit.Cur)
}
