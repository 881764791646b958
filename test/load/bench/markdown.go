//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const introduction = `# Benchmarks

What a call costs through Headgate, beside the same call direct and through a ReverseProxy. Written by
` + "`go run ./test/load/bench -out docs/benchmarks.md`" + ` (` + "`make bench`" + ` prints the same).

A call is one MCP tools/call over HTTP/1.1 with keep-alive on the loopback interface, without TLS. Its arguments hold a nonce
and a text of 256 B or 64 KiB (bytes of JSON, escapes and letters of two bytes among them); the tool answers with both, so the
text travels in both directions. Every answer is checked: status, id by its bytes, nonce, text, and that nothing follows it.
Each connection has one call in flight; legacy connections have a session each (2025-11-25), modern ones none (2026-07-28).

- **direct**: no process in the middle. With ten upstreams each connection goes to one of them.
- **proxy**: Go's httputil.ReverseProxy, tuned: 512 idle connections per host, a buffer pool, 16 KiB buffers, full duplex, no
  compression, immediate flushing. With ten upstreams each connection takes ten paths in turn.
- **headgate**: as it comes. One upstream is called at its own endpoint; with ten, each connection calls ten tools of the merged
  endpoint in turn, by their canonical names.
- **policies**: the same with an API key, a rate, a budget for each of organisation, team, key and user, and a cache, which never
  has the answer, since no two calls are alike, and keeps it where the call is short enough.
- **observed**: headgate with all that shows what goes on: metrics, traces of 5 % of the calls, sent to a collector, and a line for
  each call in a log file.
- **everything**: the policies, observed.

Upstreams, middle and load generator are processes of their own that share the cores. Therefore calls per second and latencies
are those of all of them together, and **CPU is the figure to compare**: processor time, user and system, of the process in the
middle per call. Targets take turns within each round; figures are medians over the rounds, and ratios (×) are to the proxy in
the same round, then the median. Each combination starts new processes: the peak of resident memory is its own.

`

// markdown writes the report for people.
func (m matrixReport) markdown(w io.Writer) {
	fmt.Fprint(w, introduction)
	fmt.Fprintf(w, "Commit %s, %s, %s, %d cores; %d rounds of %g s.\n", m.Facts.Commit, m.Facts.Go, m.Facts.System, m.Facts.Cores, m.Rounds, m.Seconds)
	for _, target := range gatewayTargets {
		if m.measured(target) && m.measured(proxyTarget) {
			m.ratios(w, target)
		}
	}
	type group struct{ upstreams, payload int }
	var groups []group
	for _, r := range m.Results {
		if g := (group{r.Upstreams, r.Payload}); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n## %s, %s\n\n", plural(g.upstreams, "upstream"), size(g.payload))
		row(w, "era", "connections", "target", "calls/s", "×", "p50 ms", "p99 ms", "CPU µs", "×", "peak RSS MiB", "failed")
		row(w, slices.Concat([]string{"---", "---:", "---"}, slices.Repeat([]string{"---:"}, 8))...)
		for i := range m.Results {
			if r := &m.Results[i]; r.Upstreams == g.upstreams && r.Payload == g.payload {
				r.row(w)
			}
		}
	}
	m.overhead(w)
}

// ratios writes the one table that answers the question: the target's processor time over the proxy's.
func (m matrixReport) ratios(w io.Writer, target string) {
	var connections []int
	for _, r := range m.Results {
		if !slices.Contains(connections, r.Connections) {
			connections = append(connections, r.Connections)
		}
	}
	fmt.Fprintf(w, "\n## CPU per call, %s ÷ %s\n\n", target, proxyTarget)
	header := []string{"upstreams", "text", "era"}
	rule := []string{"---:", "---:", "---"}
	for _, n := range connections {
		header, rule = append(header, plural(n, "connection")), append(rule, "---:")
	}
	row(w, header...)
	row(w, rule...)
	var cells []string
	for _, r := range m.Results {
		if r.Target != target {
			continue
		}
		if len(cells) == 0 {
			cells = []string{fmt.Sprint(r.Upstreams), size(r.Payload), string(r.Era)}
		}
		if cells = append(cells, fmt.Sprintf("%.2f", r.CPURatio)); len(cells) == len(header) {
			row(w, cells...)
			cells = nil
		}
	}
}

// overhead writes what the measurement itself takes of the cores.
func (m matrixReport) overhead(w io.Writer) {
	if !m.measured(directTarget) {
		return
	}
	fmt.Fprint(w, "\n## What measuring costs\n\nProcessor time per call of the upstreams and of the load generator, measured direct.\n\n")
	row(w, "upstreams", "text", "era", "connections", "upstream µs", "generator µs")
	row(w, "---:", "---:", "---", "---:", "---:", "---:")
	for _, r := range m.Results {
		if r.Target == directTarget {
			row(w, fmt.Sprint(r.Upstreams), size(r.Payload), string(r.Era), fmt.Sprint(r.Connections), fmt.Sprintf("%.0f", r.UpstreamCPU), fmt.Sprintf("%.0f", r.LoadCPU))
		}
	}
}

func (m matrixReport) measured(target string) bool {
	return slices.ContainsFunc(m.Results, func(r result) bool { return r.Target == target })
}

// row writes the result as a row of its table. Direct calls have no process in the middle.
func (r *result) row(w io.Writer) {
	cpu, cpuRatio, peak := "–", "–", "–"
	if r.CPU > 0 {
		cpu, cpuRatio, peak = fmt.Sprintf("%.0f", r.CPU), fmt.Sprintf("%.2f", r.CPURatio), fmt.Sprintf("%.1f", r.PeakRSS)
	}
	row(w, string(r.Era), fmt.Sprint(r.Connections), r.Target, fmt.Sprintf("%.0f", r.CallsPerSecond), fmt.Sprintf("%.2f", r.RateRatio),
		fmt.Sprintf("%.2f", r.P50), fmt.Sprintf("%.2f", r.P99), cpu, cpuRatio, peak, fmt.Sprint(r.failed()))
}

// row writes one row of a table.
func row(w io.Writer, cells ...string) { fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |") }
