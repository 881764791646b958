package fault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// Row is one line of the ledger: a fault, how often it was made, and what came of it.
type Row struct {
	ID      string // such as "T25"; a row replaces one of the same ID and What
	What    string // the fault and what must hold
	Count   string // how often it was made
	Held    bool   // what must hold did
	Figures string // what was measured
	Commit  string // what was tested
	Command string // what does it again
	Machine string // what it was measured on
}

// Ledger collects rows. The zero value is ready. Its methods may be called concurrently.
type Ledger struct {
	mu   sync.Mutex
	rows []Row
}

// Add puts a row into the ledger.
func (l *Ledger) Add(r Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = slices.DeleteFunc(l.rows, func(old Row) bool { return old.ID == r.ID && old.What == r.What })
	l.rows = append(l.rows, r)
}

// columns are the table's, in order.
var columns = []string{"row", "what", "count", "result", "figures", "commit", "command", "machine"}

// rule stands under the names of the columns.
const rule = "---"

const preface = `# Fault ledger

What was done to Headgate on purpose, and what came of it. ` + "`make faults`" + ` makes this page; each row says what it was measured at, and
the command that measures it again. "held" is the result that is promised; anything else would be a defect. The rows are named after
the kinds of fault that the tests name: T for what somebody does, F for what happens.

`

// Write writes the table to the file at path. Rows that stand there and were not collected this time are kept: they
// name the commit that they are true of. Errors are those of the file system.
func (l *Ledger) Write(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rows) == 0 {
		return nil
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ledger: %w", err)
	}
	lines := map[string][]string{}
	for line := range strings.Lines(string(old)) {
		if cells := cellsOf(line); len(cells) == len(columns) && cells[0] != columns[0] && cells[0] != rule {
			lines[cells[0]+cells[1]] = cells
		}
	}
	for _, r := range l.rows {
		cells := r.cells()
		lines[cells[0]+cells[1]] = cells
	}
	if err := os.WriteFile(path, table(lines), 0o644); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// table returns the page.
func table(lines map[string][]string) []byte {
	sorted := make([][]string, 0, len(lines))
	for _, cells := range lines {
		sorted = append(sorted, cells)
	}
	slices.SortFunc(sorted, func(a, b []string) int {
		return cmp.Or(cmp.Compare(order(a[0]), order(b[0])), cmp.Compare(a[1], b[1]))
	})
	var out bytes.Buffer
	out.WriteString(preface)
	fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" "+rule+" |", len(columns)))
	for _, cells := range sorted {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | "))
	}
	return out.Bytes()
}

// order returns a key under which T5 comes before T13.
func order(id string) string {
	digits := strings.TrimLeft(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return fmt.Sprintf("%s%8s", strings.TrimSuffix(id, digits), digits)
}

func (r Row) cells() []string {
	result := "**failed**"
	if r.Held {
		result = "held"
	}
	cells := []string{r.ID, r.What, r.Count, result, r.Figures, r.Commit, "`" + r.Command + "`", r.Machine}
	for i, text := range cells {
		cells[i] = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
	}
	return cells
}

// cellsOf returns the cells of a line of the table, or nothing.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	inner, ok := strings.CutPrefix(line, "| ")
	inner, end := strings.CutSuffix(inner, "|")
	if !ok || !end {
		return nil
	}
	cells := strings.Split(inner, "|")
	for i, text := range cells {
		cells[i] = strings.TrimSpace(text)
	}
	return cells
}
