package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// acknowledged is what children said before they were killed.
type acknowledged struct {
	enqueued, completed map[string]bool
	charged             map[string]int64
	refused             bool
}

func (a *acknowledged) note(line string) {
	word, what, _ := strings.Cut(line, " ")
	switch word {
	case "enqueued":
		a.enqueued[what] = true
	case "completed":
		a.completed[what] = true
	case "charged":
		a.charged[what]++
	case "refused":
		a.refused = true
	}
}

// A process that is killed in the middle of its writes leaves a file that opens, with
// all that it acknowledged, and more of a budget is never granted than there is.
//
//nolint:paralleltest // a process being started keeps the files of other tests locked for a moment
func TestKilledInTheMiddleOfWrites(t *testing.T) {
	path := inFolder(t)
	known := &acknowledged{map[string]bool{}, map[string]bool{}, map[string]int64{}, false}
	for round := range many(100, 5) {
		c := startChild(t, "write", path)
		time.AfterFunc(time.Duration(30+round*37%200)*time.Millisecond, func() { _ = c.cmd.Process.Kill() })
		c.lines(t, known.note)
		_ = c.cmd.Wait() // it was killed
		checkKilled(t, path, known)
	}
	if len(known.enqueued) == 0 || len(known.completed) == 0 || known.charged["large"] == 0 {
		t.Errorf("nothing was tried: %d, %d, %v", len(known.enqueued), len(known.completed), known.charged)
	}
	t.Logf("%d jobs enqueued, %d completed, charged %v", len(known.enqueued), len(known.completed), known.charged)
}

func checkKilled(t *testing.T, path string, known *acknowledged) {
	t.Helper()
	e := opened(t, path, Options{})
	defer closed(t, e)
	for id := range known.enqueued {
		got, err := e.Jobs().Get(t.Context(), id, "ann")
		if err != nil {
			t.Errorf("job %q was acknowledged and is lost: %v", id, err)
		}
		if known.completed[id] && (got.State != state.JobSucceeded || string(got.Result) != "done "+id) {
			t.Errorf("job %q was completed and is %+v", id, got)
		}
	}
	balances, err := e.Quota().Peek(t.Context(), costing(killedCharges(), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range killedCharges() {
		granted, counted := known.charged[c.Bucket], balances[i].Limit-balances[i].Remaining
		if granted > counted || granted > c.Limit.Max {
			t.Errorf("of %q %d were granted, %d are counted, of %d", c.Bucket, granted, counted, c.Limit.Max)
		}
	}
}
