package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints a table with a line for each way, and returns an error when anything went wrong.
func report(out io.Writer, results []result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "way\trequests\tfailed\ttokens/s\tfirst token p50\tp99\tbetween p50\tp99\tprompts cached\trequests of each engine\t")
	failed := 0
	for _, r := range results {
		failures := 0
		for _, n := range r.failed {
			failures += n
		}
		failed += failures
		fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%s\t%s\t%s\t%s\t%.0f %%\t%s\t\n", r.way, r.requests, failures, float64(r.tokens)/r.took.Seconds(),
			milliseconds(r.first.Quantile(0.5)), milliseconds(r.first.Quantile(0.99)), milliseconds(r.gap.Quantile(0.5)), milliseconds(r.gap.Quantile(0.99)),
			100*r.cached(), r.shares())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, why := range slices.Sorted(maps.Keys(r.failed)) {
			fmt.Fprintf(out, "\n%s: %d × %s", r.way, r.failed[why], why)
		}
	}
	if failed > 0 {
		fmt.Fprintln(out)
		return fmt.Errorf("%d requests failed", failed)
	}
	return nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// cached is which part of the prompts' tokens the engines have found in their caches.
func (r *result) cached() float64 {
	var queried, found int64
	for _, e := range r.engines {
		queried, found = queried+e.queried, found+e.cached
	}
	return float64(found) / float64(max(queried, 1))
}

// shares is how many requests each engine has had.
func (r *result) shares() string {
	var list []string
	for _, e := range r.engines {
		list = append(list, fmt.Sprint(e.requests))
	}
	return strings.Join(list, " ")
}
