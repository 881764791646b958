//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/headgate/headgate/test/load/generator"
)

// result is what one target did in one cell: medians over the rounds.
type result struct {
	cell
	Target         string  `json:"target"`
	CallsPerSecond float64 `json:"calls_per_second"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	// CPU is the processor time per call of the process in the middle; zero when there is none.
	CPU float64 `json:"cpu_us"`
	// CPURatio and RateRatio are to the proxy in the same round; zero when it was not measured.
	CPURatio  float64 `json:"cpu_ratio"`
	RateRatio float64 `json:"rate_ratio"`
	PeakRSS   float64 `json:"peak_rss_mib"`
	// UpstreamCPU and LoadCPU are the processor time per call of the upstreams and of the generator.
	UpstreamCPU float64                   `json:"upstream_cpu_us"`
	LoadCPU     float64                   `json:"load_cpu_us"`
	Failures    map[generator.Fault]int64 `json:"failures"`
	Example     string                    `json:"failure_example,omitempty"`
}

// summarize turns the series of a cell into results. Ratios are taken round by round, so that what slows the machine for a
// while slows both sides of them, and then their median.
func summarize(c cell, all []series) []result {
	var baseline []sample
	for _, s := range all {
		if s.target == proxyTarget {
			baseline = s.samples
		}
	}
	var results []result
	for _, s := range all {
		r := result{cell: c, Target: s.target, PeakRSS: float64(s.peak) / (1 << 20), Failures: s.failures, Example: s.example}
		r.CallsPerSecond = medianOf(s.samples, func(s sample) float64 { return s.rate })
		r.P50 = medianOf(s.samples, func(s sample) float64 { return in(time.Millisecond, s.p50) })
		r.P99 = medianOf(s.samples, func(s sample) float64 { return in(time.Millisecond, s.p99) })
		r.CPU = medianOf(s.samples, func(s sample) float64 { return in(time.Microsecond, s.gateway) })
		r.UpstreamCPU = medianOf(s.samples, func(s sample) float64 { return in(time.Microsecond, s.upstream) })
		r.LoadCPU = medianOf(s.samples, func(s sample) float64 { return in(time.Microsecond, s.load) })
		var cpu, rate []float64
		for i := range min(len(baseline), len(s.samples)) {
			cpu = append(cpu, ratio(float64(s.samples[i].gateway), float64(baseline[i].gateway)))
			rate = append(rate, ratio(s.samples[i].rate, baseline[i].rate))
		}
		r.CPURatio, r.RateRatio = median(cpu), median(rate)
		results = append(results, r)
	}
	return results
}

func (r *result) failed() int64 {
	var sum int64
	for _, n := range r.Failures {
		sum += n
	}
	return sum
}

// overBudget says what breaks the budget: any failed call, and more processor time than the factor allows of the target,
// at the number of connections for which the budget holds. A budget of zero is none.
func overBudget(results []result, target string, factor float64) []string {
	var broken []string
	for i := range results {
		r := &results[i]
		if n := r.failed(); n > 0 {
			broken = append(broken, fmt.Sprintf("%s, %s: %d calls failed, such as: %s", r.Target, r.cell, n, r.Example))
		}
		if factor > 0 && r.Target == target && r.Connections == budgetConnections && (r.CPURatio > factor || r.CPURatio == 0) {
			broken = append(broken, fmt.Sprintf("%s, %s: %.2f times the processor time of the proxy", r.Target, r.cell, r.CPURatio))
		}
	}
	return broken
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	return median(values)
}

// median returns the middle value, or the mean of the two in the middle; zero of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// in returns a duration as a number of units.
func in(unit, d time.Duration) float64 { return float64(d) / float64(unit) }
