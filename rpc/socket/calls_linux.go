//go:build linux && !race && !386

// Where a call writes to or reads from is named by pointers, each of which is used in the call alone, as package unsafe has it (pattern 4).

//nolint:gosec // this file is where unsafe is
package socket

import (
	"syscall"
	"unsafe"
)

const (
	// quick is up to how many bytes a call is over before the scheduler could do anything with the news of it.
	quick = 64 << 10
	// together is how many parts are written in one call.
	together = 4
)

// receive reads what is there.
func receive(fd uintptr, p []byte) (int, error) {
	if len(p) > quick {
		return announced(syscall.Read, fd, p)
	}
	return unannounced(syscall.SYS_RECVFROM, fd, unsafe.Pointer(unsafe.SliceData(p)), len(p), 0)
}

// send writes what there is room for.
func send(fd uintptr, p []byte) (int, error) {
	if len(p) > quick {
		return announced(syscall.Write, fd, p)
	}
	return unannounced(syscall.SYS_SENDTO, fd, unsafe.Pointer(unsafe.SliceData(p)), len(p), syscall.MSG_NOSIGNAL)
}

// sendParts writes what there is room for, of the first few parts that are not empty.
func sendParts(fd uintptr, parts [][]byte) (int, error) {
	var list [together]syscall.Iovec
	n, size := 0, 0
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if n == len(list) {
			break
		}
		list[n].Base = unsafe.SliceData(p)
		list[n].SetLen(len(p))
		n, size = n+1, size+len(p)
	}
	if size <= quick {
		return unannounced(syscall.SYS_WRITEV, fd, unsafe.Pointer(&list), n, 0)
	}
	return announced(func(fd int, _ []byte) (int, error) {
		done, _, err := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&list)), uintptr(n))
		if err != 0 {
			return 0, err
		}
		return int(done), nil
	}, fd, nil)
}

// look reads a byte that stays.
func look(fd uintptr, one *[1]byte) (int, error) {
	return unannounced(syscall.SYS_RECVFROM, fd, unsafe.Pointer(one), len(one), syscall.MSG_PEEK)
}

// unannounced makes a system call on a descriptor that does not block, again where a signal came between.
func unannounced(call, fd uintptr, p unsafe.Pointer, n int, flags uintptr) (int, error) {
	for {
		done, _, err := syscall.RawSyscall6(call, fd, uintptr(p), uintptr(n), flags, 0, 0)
		switch err {
		case 0:
			return int(done), nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
