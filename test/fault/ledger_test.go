package fault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLedgerKeepsRowsOfOtherRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "faults.md")
	write := func(rows ...Row) string {
		t.Helper()
		var l Ledger
		for _, r := range rows {
			l.Add(r)
		}
		if err := l.Write(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write(Row{ID: "T25", What: "a | b", Held: true, Figures: "1 ms"}, Row{ID: "T5", What: "states"}, Row{ID: "F20", What: "storm"})
	text := write(Row{ID: "T5", What: "states", Held: true, Commit: "abc"})
	var got []string
	for line := range strings.Lines(text) {
		if cells := cellsOf(line); cells != nil && cells[0] != rule {
			got = append(got, cells[0]+" "+cells[1]+" "+cells[3]+" "+cells[5])
		}
	}
	want := "row what result commit; F20 storm **failed** ; T5 states held abc; T25 a / b held "
	if joined := strings.Join(got, "; "); joined != want {
		t.Errorf("got  %s\nwant %s", joined, want)
	}
}

func TestAnEmptyLedgerWritesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "faults.md")
	if err := new(Ledger).Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written")
	}
}
