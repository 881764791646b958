package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// writeTable writes the results as Markdown.
func writeTable(w io.Writer, results []Result) error {
	var b strings.Builder
	b.WriteString("| spec | client | server | transport | scenarios | checks directly | through Headgate | expected losses | lost |\n")
	b.WriteString("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		client, server := r.Ends()
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %d | %d | %d | %d |\n",
			r.Spec, client, server, r.Transport(), r.Scenarios, r.Direct, r.Through, times(r.Expected), times(r.Lost))
	}
	for _, r := range results {
		for _, l := range r.Lost {
			fmt.Fprintf(&b, "\nLost: %s: %s / %s ×%d: %s\n", r.Pairing, l.Scenario, l.ID, l.Times, l.Said)
		}
		if r.Rounds < r.rounds() {
			fmt.Fprintf(&b, "\nLost: %s: only %d of %d scenarios of multi round-trip requests are kept whole\n", r.Pairing, r.Rounds, r.rounds())
		}
		for _, u := range r.Passed {
			fmt.Fprintf(&b, "\nUnexpected pass: %s: %s\n", r.Pairing, strings.TrimSuffix(u.Scenario+" / "+u.ID, " / "))
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
	b.WriteString("Across eras the direct run is against the server of the suite's own era. Where the suite is the server, the gateway stands\n")
	b.WriteString("between it and go-sdk's client; scenarios of authorization are left out, because the gateway has credentials of its own.\n\n")
	if err := writeTable(&b, results); err != nil {
		return err
	}
	if len(baseline) > 0 {
		b.WriteString("\nExpected losses across eras, from `baseline.yml`:\n\n| spec | scenario | checks | lacking | what happens |\n| --- | --- | --- | --- | --- |\n")
	}
	for _, e := range baseline {
		checks := "all that are lost"
		if len(e.Checks) > 0 {
			checks = strings.Join(slices.Sorted(slices.Values(e.Checks)), ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", strings.Join(e.Specs, ", "), e.Scenario, checks, cmp.Or(e.Fixture, e.Feature), e.Reason)
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
