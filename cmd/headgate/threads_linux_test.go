package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// threads returns how many threads this process has.
func threads(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nThreads:")
	count, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Threads that were reserved stay.
func TestThreadsAreReserved(t *testing.T) {
	before := threads(t)
	reserveThreads(before + 8)
	if n := threads(t); n < before+8 {
		t.Errorf("%d threads, %d before", n, before)
	}
}
