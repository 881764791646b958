package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// writeTable writes the results as Markdown.
func writeTable(w io.Writer, results []Result) error {
	var b strings.Builder
	b.WriteString("| spec | server | transport | scenarios | checks directly | through Headgate | expected losses | lost |\n")
	b.WriteString("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d | %d | %d |\n",
			r.Spec, r.Server, r.Transport(), r.Scenarios, r.Direct, r.Through, times(r.Expected), times(r.Lost))
	}
	for _, r := range results {
		for _, l := range r.Lost {
			fmt.Fprintf(&b, "\nLost: %s, %s (%s): %s / %s ×%d: %s\n", r.Spec, r.Server, r.Transport(), l.Scenario, l.ID, l.Times, l.Said)
		}
		for _, u := range r.Passed {
			fmt.Fprintf(&b, "\nUnexpected pass: %s, %s (%s): %s\n", r.Spec, r.Server, r.Transport(), strings.TrimSuffix(u.Scenario+" / "+u.ID, " / "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeDocument writes the table with what it means and what is expected to be lost: RESULTS.md.
func writeDocument(w io.Writer, results []Result, baseline []Expected) error {
	var b strings.Builder
	b.WriteString("# Results of the official conformance suite\n\n")
	b.WriteString("Written by `make conformance`. A check counts as kept when it succeeds against the server directly and\n")
	b.WriteString("through `/mcp/NAME` of a Headgate in front of it. `go run ./test/conformance -o json` names every check.\n\n")
	if err := writeTable(&b, results); err != nil {
		return err
	}
	if len(baseline) > 0 {
		b.WriteString("\nExpected losses, from `baseline.yml`:\n\n| scenario | checks | reason |\n| --- | --- | --- |\n")
	}
	for _, e := range baseline {
		checks := "all that are lost"
		if len(e.Checks) > 0 {
			checks = strings.Join(slices.Sorted(slices.Values(e.Checks)), ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.Scenario, checks, e.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeJSON writes every pairing with its losses.
func writeJSON(w io.Writer, results []Result) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(results)
}

func times(losses []Loss) int {
	n := 0
	for _, l := range losses {
		n += l.Times
	}
	return n
}
