package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// format is what data is printed as. It is the value of the flag -o.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
)

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (*format) Type() string { return "table|json" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	switch format(s) {
	case asTable, asJSON:
		*f = format(s)
		return nil
	}
	return fmt.Errorf("must be table or json")
}

// outputFlag gives a command the flag -o.
func (a *app) outputFlag(cmd *cobra.Command) {
	a.output = asTable
	cmd.Flags().VarP(&a.output, "output", "o", "how to print")
}

// printJSON prints a value as one indented object.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable prints rows below a header.
func (a *app) printTable(header []string, rows [][]string) error {
	return writeTable(a.out, header, rows)
}

// writeTable writes rows below a header, in a form that a terminal can be shown.
func writeTable(to io.Writer, header []string, rows [][]string) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row)) // the header may be shared by all who print such a table
		for i, cell := range row {
			cells[i] = strings.Join(strings.Fields(visible(cell)), " ")
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// visible makes text from outside safe for w: what goes into a file or another program stays as it is, what goes to a terminal must not
// be able to move its cursor, set its title or hide lines.
func (a *app) visible(w io.Writer, text string) string {
	if isTerminal(w) {
		return visible(text)
	}
	return text
}

// visible replaces control characters but tab and line feed, and those that change the writing direction.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20, 0x7f <= r && r <= 0x9f, 0x200e <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
			return utf8.RuneError
		}
		return r
	}, text)
}

// isTerminal reports whether a person looks at what is written to w, or types what is read from it.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// shorten cuts text to a number of characters.
func shorten(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return strings.TrimRight(string(runes[:limit-1]), " ") + "…"
}
