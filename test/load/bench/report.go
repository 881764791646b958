//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// run of the matrix: everything there is to report.
type matrixReport struct {
	Facts   facts    `json:"facts"`
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds_per_measurement"`
	Results []result `json:"results"`
}

// runMatrix measures all cells and reports. It fails when a call failed or the budget is broken.
func runMatrix(ctx context.Context, o *options) error {
	report := matrixReport{Facts: gatherFacts(ctx), Rounds: o.rounds, Seconds: o.duration.Seconds()}
	for _, c := range matrix(o.quick) {
		all, err := measureCell(ctx, o, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		results := summarize(c, all)
		for i := range results {
			fmt.Fprintln(os.Stderr, results[i].line())
		}
		report.Results = append(report.Results, results...)
	}
	if err := publish(o, report, report.markdown); err != nil {
		return err
	}
	last := o.targets[len(o.targets)-1]
	if broken := overBudget(report.Results, last, o.budget); len(broken) > 0 {
		return errors.New("over budget:\n  " + strings.Join(broken, "\n  "))
	}
	return nil
}

// publish writes a report in the form and to the place that were asked for.
func publish(o *options, report any, markdown func(io.Writer)) error {
	var text strings.Builder
	if o.format == "json" {
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		markdown(&text)
	}
	if o.out == "" {
		_, err := io.WriteString(os.Stdout, text.String())
		return err
	}
	return os.WriteFile(o.out, []byte(text.String()), 0o644)
}

// line is a result in one line, for those who watch.
func (r *result) line() string {
	return fmt.Sprintf("%-50s %-9s %7.0f calls/s  p50 %7.3f ms  p99 %7.3f ms  cpu %6.1f µs (× %.2f)  peak %5.1f MiB  upstream %5.1f µs  load %5.1f µs  failed %d",
		r.cell, r.Target, r.CallsPerSecond, r.P50, r.P99, r.CPU, r.CPURatio, r.PeakRSS, r.UpstreamCPU, r.LoadCPU, r.failed())
}
