//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/headgate/headgate/test/load/generator"
)

// sample is one measurement of one target.
type sample struct {
	rate     float64 // right answers per second
	p50, p99 time.Duration
	// Processor time per call of the process in the middle, of the upstreams and of the generator.
	gateway, upstream, load time.Duration
}

// series is all measurements of one target in one cell.
type series struct {
	target   string
	samples  []sample
	peak     int64 // bytes of the process in the middle
	failures map[generator.Fault]int64
	example  string // of a failure
}

// lane is a target with the connections to it.
type lane struct {
	*target
	fleet  *generator.Fleet
	series series
}

// measureCell starts everything anew, so that memory is this cell's own, and measures the targets in turn.
func measureCell(ctx context.Context, o *options, c cell) ([]series, error) {
	upstream, addresses, err := startRole(ctx, o.dir, upstreamRole, fmt.Sprint(c.Upstreams))
	if err != nil {
		return nil, err
	}
	defer upstream.stop()
	var lanes []*lane
	for _, name := range o.targets {
		l, err := openLane(ctx, o, c, name, addresses)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer l.close(ctx)
		lanes = append(lanes, l)
	}
	for round := range o.rounds {
		for i := range lanes { // another one begins each round
			l := lanes[(round+i)%len(lanes)]
			if err := l.measure(ctx, o.duration, upstream.pid()); err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	var all []series
	for _, l := range lanes {
		if err := l.finish(); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		all = append(all, l.series)
	}
	return all, nil
}

// openLane starts a target, connects to it and warms it up.
func openLane(ctx context.Context, o *options, c cell, name string, upstreams []string) (*lane, error) {
	t, err := starters[name](ctx, o, upstreams)
	if err != nil {
		return nil, err
	}
	l := &lane{target: t, series: series{target: name, failures: map[generator.Fault]int64{}}}
	l.fleet, err = generator.Connect(ctx, generator.Config{
		Routes: t.routes, Era: c.Era, Connections: c.Connections, Payload: c.Payload, Header: t.header,
	})
	if err != nil {
		words := ""
		if t.process != nil {
			words = t.process.lastWords()
		}
		t.stop()
		return nil, fmt.Errorf("%w: %s", err, words)
	}
	warm := l.fleet.Run(ctx, generator.Work{Duration: o.duration / 2})
	l.count(&warm)
	return l, nil
}

func (l *lane) close(ctx context.Context) {
	l.fleet.Close(context.WithoutCancel(ctx))
	l.stop()
}

// measure takes one sample.
func (l *lane) measure(ctx context.Context, d time.Duration, upstream int) error {
	clocks := []int{upstream, os.Getpid()}
	if l.process != nil {
		clocks = append(clocks, l.process.pid())
	}
	before, err := readClocks(clocks)
	if err != nil {
		return err
	}
	report := l.fleet.Run(ctx, generator.Work{Duration: d})
	after, err := readClocks(clocks)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.count(&report)
	calls := time.Duration(report.Calls + report.Failed())
	if report.Calls == 0 {
		return fmt.Errorf("no call was answered: %v", report.Examples)
	}
	s := sample{rate: report.Rate(), p50: report.Latency.Quantile(0.5), p99: report.Latency.Quantile(0.99)}
	s.upstream, s.load = (after[0]-before[0])/calls, (after[1]-before[1])/calls
	if l.process != nil {
		s.gateway = (after[2] - before[2]) / calls
	}
	l.series.samples = append(l.series.samples, s)
	return nil
}

// count adds up what went wrong.
func (l *lane) count(r *generator.Report) {
	for fault, n := range r.Failures {
		l.series.failures[fault] += n
	}
	for example := range maps.Values(r.Examples) {
		l.series.example = example
	}
}

// finish reads what is known only at the end.
func (l *lane) finish() error {
	if l.process == nil {
		return nil
	}
	m, err := memoryOf(l.process.pid())
	l.series.peak = m.peak
	return err
}

// readClocks returns the processor times of processes.
func readClocks(pids []int) ([]time.Duration, error) {
	var times []time.Duration
	for _, pid := range pids {
		t, err := cpuTime(pid)
		if err != nil {
			return nil, err
		}
		times = append(times, t)
	}
	return times, nil
}
