package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report prints a table in Markdown with a line for each way. It returns an error when requests failed otherwise than by being too late: to be late
// is what ways are compared by.
func report(out io.Writer, results []result) error {
	lines := [][]string{
		{"way", "answers", "tokens/s", "first token p50", "p99", "between tokens p50", "p99", "prompts cached", "requests of each engine"},
		slices.Repeat([]string{"---"}, 9),
	}
	failed := 0
	var reasons strings.Builder
	for _, r := range results {
		missing := 0
		for _, why := range slices.Sorted(maps.Keys(r.failed)) {
			n := r.failed[why]
			if missing += n; why != errPatience.Error() {
				failed += n
			}
			fmt.Fprintf(&reasons, "%s: %d × %s\n", r.way, n, why)
		}
		lines = append(lines, []string{
			r.way, fmt.Sprintf("%d of %d", r.requests-missing, r.requests), fmt.Sprintf("%.0f", float64(r.tokens)/r.took.Seconds()),
			milliseconds(r.first.Quantile(0.5)), milliseconds(r.first.Quantile(0.99)), milliseconds(r.gap.Quantile(0.5)), milliseconds(r.gap.Quantile(0.99)),
			fmt.Sprintf("%.0f %%", 100*r.cached()), r.shares(),
		})
	}
	for _, cells := range lines {
		fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |")
	}
	if reasons.Len() > 0 {
		fmt.Fprintf(out, "\n%s", &reasons)
	}
	if failed > 0 {
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
