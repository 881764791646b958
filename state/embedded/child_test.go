package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// childEnv has the test binary do one of the children instead of its tests.
const childEnv = "HEADGATE_TEST_CHILD"

var children = map[string]func(path string) error{
	"write":     writeUntilKilled,
	"full disk": fillDisk,
}

// child is a process that uses a file, and says on its output what was acknowledged.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func startChild(tb testing.TB, name, path string) *child {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return &child{cmd, bufio.NewReader(out)}
}

// lines calls each for every whole line, until the output ends.
func (c *child) lines(tb testing.TB, each func(line string)) {
	tb.Helper()
	for {
		line, err := c.out.ReadString('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			tb.Fatal(err)
		}
		each(strings.TrimSuffix(line, "\n"))
	}
}

// many is how often something is done: often in a soak, a few times otherwise.
func many(soak, otherwise int) int {
	if os.Getenv("HEADGATE_SOAK") != "" {
		return soak
	}
	return otherwise
}

const smallBudget = 2000

// killedCharges are of a budget that is used up soon, and of one that never is.
func killedCharges() []state.Charge {
	window := state.Limit{Kind: state.Rolling, Per: 10_000 * time.Hour, Durable: true}
	small, large := window, window
	small.Max, large.Max = smallBudget, 1_000_000
	return []state.Charge{{Bucket: "small", Cost: 1, Limit: &small}, {Bucket: "large", Cost: 1, Limit: &large}}
}

// writeUntilKilled does durable operations from many goroutines.
func writeUntilKilled(path string) error {
	e, err := Open(path, Options{Log: discard})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var n atomic.Int64
	run := fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	var wg sync.WaitGroup
	failed := make(chan error, 32)
	repeat := func(op func() (string, error)) {
		wg.Go(func() {
			for {
				line, err := op()
				if err != nil {
					failed <- err
					return
				}
				_, _ = os.Stdout.WriteString(line + "\n") // one write, so that lines are whole
			}
		})
	}
	for range 6 {
		repeat(func() (string, error) {
			id := fmt.Sprintf("%s-%d", run, n.Add(1))
			_, _, err := e.Jobs().Enqueue(ctx, spec(id))
			return "enqueued " + id, err
		})
		repeat(func() (string, error) {
			c, err := e.Jobs().Claim(ctx, []string{"default"}, time.Hour)
			if err != nil {
				return "", err
			}
			return "completed " + c.Job.ID, e.Jobs().Complete(ctx, c.Job.ID, c.Fence, []byte("done "+c.Job.ID))
		})
	}
	for at := range killedCharges() {
		repeat(func() (string, error) {
			charge := killedCharges()[at : at+1]
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			_, err := e.Quota().Reserve(ctx, state.HoldID{}, charge, 0, nil)
			if _, full := err.(*state.Refusal); full { //nolint:errorlint // it is never wrapped
				time.Sleep(time.Millisecond)
				return "refused " + charge[0].Bucket, nil
			}
			return "charged " + charge[0].Bucket, err
		})
	}
	return <-failed
}
