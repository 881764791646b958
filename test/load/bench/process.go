//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time, user and system, that a process has used, ended threads included. It reads the
// process's own clock, which counts nanoseconds where /proc/PID/stat counts ticks of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED, the clock that the scheduler keeps
	var now unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &now); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(now.Nano()), nil
}

// memory is what a process occupies.
type memory struct{ resident, peak int64 } // bytes

// memoryOf reads VmRSS and VmHWM.
func memoryOf(pid int) (memory, error) {
	var m memory
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	if m.resident, err = statusBytes(text, "VmRSS"); err != nil {
		return m, err
	}
	m.peak, err = statusBytes(text, "VmHWM")
	return m, err
}

// statusBytes returns the value in bytes of a line "name: n kB" of /proc/PID/status.
func statusBytes(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		value, ok := strings.CutPrefix(string(line), name+":")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("no %s in the process's status", name)
}

// descriptors returns the number of open files of a process.
func descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// goroutines reads how many goroutines a process has from its metrics page, where it has one.
func goroutines(ctx context.Context, url string) (int, bool) {
	status, body := get(ctx, url)
	if status != http.StatusOK {
		return 0, false
	}
	for line := range bytes.Lines(body) {
		if value, ok := strings.CutPrefix(string(line), "go_goroutines "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int(n), err == nil
		}
	}
	return 0, false
}

// get returns the status and the body of a page, or 0 when there was no answer.
func get(ctx context.Context, url string) (int, []byte) {
	const patience, room = 5 * time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, room))
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, body
}

// raiseFileLimit lets this process and its children open as many files as the system permits. Setting the limit, rather
// than leaving it to the runtime, is what makes children inherit it.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return errors.Join(errors.New("limit of open files"), err)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
