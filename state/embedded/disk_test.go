package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// F15: a disk that is full refuses jobs in a way that may be tried again, loses
// nothing that it took before, and takes jobs again when there is room.
//
//nolint:paralleltest // a process being started keeps the files of other tests locked for a moment
func TestF15_FullDisk(t *testing.T) {
	path := inFolder(t)
	c := startChild(t, "full disk", path)
	var ids []string
	said := map[string]int{}
	c.lines(t, func(line string) {
		word, id, _ := strings.Cut(line, " ")
		if said[word]++; word == "enqueued" {
			ids = append(ids, id)
		}
	})
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v, after %v", err, said)
	}
	if said["refused"] == 0 || said["recovered"] == 0 || len(ids) == 0 {
		t.Errorf("it said %v", said)
	}
	e := opened(t, path, Options{})
	defer closed(t, e)
	for _, id := range ids {
		stands(t, e, id, state.JobQueued, 0, "")
	}
}

// fillDisk enqueues jobs until the file may not grow any more, then lets it grow.
func fillDisk(path string) error {
	e, err := Open(path, Options{Log: discard})
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	few := limit
	few.Cur = 512 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &few); err != nil {
		return err
	}
	ctx := context.Background()
	take := func(n int) error {
		s := spec(fmt.Sprint(n))
		s.Payload = make([]byte, 20_000)
		_, _, err := e.Jobs().Enqueue(ctx, s)
		if err == nil {
			fmt.Fprintln(os.Stdout, "enqueued", s.ID)
		}
		return err
	}
	n, refused := 1, 0
	for ; refused < 2 && n < 1000; refused++ { // pages that become free may still take one
		for err = take(n); err == nil && n < 1000; err = take(n) {
			n, refused = n+1, 0
		}
		if !errors.Is(err, state.ErrUnavailable) {
			return fmt.Errorf("job %d: %w", n, err)
		}
	}
	fmt.Fprintln(os.Stdout, "refused", n)
	for i := 1; i < n; i++ {
		if got, err := e.Jobs().Get(ctx, fmt.Sprint(i), "ann"); err != nil || got.State != state.JobQueued {
			return fmt.Errorf("job %d: %+v, %w", i, got, err)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		if err = take(n); err == nil {
			fmt.Fprintln(os.Stdout, "recovered", n)
			return e.Close(ctx)
		}
	}
	return err
}
