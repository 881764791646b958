package embedded

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/headgate/headgate/state"
)

const sector = 512 // what a disk writes whole or not at all

// F16: a power failure leaves of the last transaction any part of the pages it wrote, or
// all of them and a part of its head; the head is written when the pages are on disk. Whatever is left, the
// file opens, with all that was acknowledged before.
func TestF16_PowerFailure(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	random := rand.New(rand.NewPCG(16, 16))
	var known []state.Job
	before := contentFile(t, path)
	cuts, perStep := 0, many(20, 3)
	for i := range 50 {
		s := spec(fmt.Sprint(i))
		s.Payload = make([]byte, random.IntN(6000))
		enqueued(t, e, s)
		if random.IntN(2) == 0 {
			before = contentFile(t, path) // so that the next transaction is that of a claim
			known = allJobs(t, e)
			claimed(t, e)
		}
		after := contentFile(t, path)
		for range perStep {
			cuts++
			opensWith(t, cutBetween(random, before, after), known)
		}
		before, known = after, allJobs(t, e)
	}
	t.Logf("%d cut points", cuts)
}

func contentFile(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func allJobs(tb testing.TB, e *Engine) []state.Job {
	tb.Helper()
	jobs, err := e.Jobs().List(tb.Context(), state.JobFilter{Limit: 1000})
	if err != nil {
		tb.Fatal(err)
	}
	return jobs
}

// cutBetween is the file as it may be when the power fails while one transaction is
// written.
func cutBetween(random *rand.Rand, before, after []byte) []byte {
	heads := 2 * os.Getpagesize()
	pagesDone := random.IntN(3) == 0
	out := bytes.Clone(before)
	if pagesDone || random.IntN(2) == 0 {
		out = append(out, make([]byte, len(after)-len(before))...) // the file has grown already
	}
	for at := 0; at < len(out); at += sector {
		written := random.IntN(2) == 0
		if at >= heads && pagesDone {
			written = true
		}
		if at < heads && !pagesDone {
			written = false
		}
		if written {
			copy(out[at:at+sector], after[at:])
		}
	}
	return out
}

func opensWith(t *testing.T, text []byte, known []state.Job) {
	t.Helper()
	path := inFolder(t)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(path, Options{Log: discard})
	if err != nil {
		t.Errorf("a file that was not wholly written is refused: %v", err)
		return
	}
	defer closed(t, e)
	for _, j := range known {
		got, err := e.Jobs().Get(t.Context(), j.ID, "ann")
		if err != nil || got.Created != j.Created || got.Attempt < j.Attempt {
			t.Errorf("job %q was acknowledged as %+v, and is %+v, %v", j.ID, j, got, err)
		}
	}
	enqueued(t, e, spec("one more"))
}
