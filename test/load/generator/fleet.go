package generator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/test/load/latency"
)

const defaultTimeout = 10 * time.Second

// Fleet is connections that are ready to call. Its methods must not be called concurrently.
type Fleet struct {
	workers []*worker
}

// Connect opens the connections and, for legacy servers, a session on each for each path.
func Connect(ctx context.Context, c Config) (*Fleet, error) {
	groups, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	f := &Fleet{}
	run := fmt.Sprintf("%08x", rand.Uint32()) // tells the nonces of two runs apart
	for i := range c.Connections {
		w := newWorker(&c, groups[i%len(groups)], i, run)
		f.workers = append(f.workers, w)
		if err := w.open(ctx); err != nil {
			f.Close(ctx)
			return nil, fmt.Errorf("connection %d to %s: %w", i+1, w.address, err)
		}
	}
	return f, nil
}

// Close ends the sessions and closes the connections.
func (f *Fleet) Close(ctx context.Context) {
	for _, w := range f.workers {
		w.end(ctx)
	}
}

// Work is how long a Fleet calls: until Duration is over or Calls are made, whichever is first. Zero does not count.
type Work struct {
	Duration time.Duration
	Calls    int64
}

// Report is the outcome of some Work.
type Report struct {
	// Calls is the number of answers that were right; only they are in Latency.
	Calls int64
	// Failures is the number of calls that failed, by what was wrong, and Examples one of each in words.
	Failures map[Fault]int64
	Examples map[Fault]string
	// Elapsed is the time from the first call to the last answer.
	Elapsed time.Duration
	// Latency is the times from writing a request to having read its answer.
	Latency *latency.Histogram
}

// Failed returns the number of calls that failed.
func (r *Report) Failed() int64 {
	var sum int64
	for _, n := range r.Failures {
		sum += n
	}
	return sum
}

// Rate returns the right answers per second.
func (r *Report) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Calls) / r.Elapsed.Seconds()
}

// Run makes calls on all connections at once and returns when the work is done or ctx has ended.
func (f *Fleet) Run(ctx context.Context, work Work) Report {
	left := &atomic.Int64{}
	left.Store(work.Calls)
	begin := time.Now()
	until := begin.Add(work.Duration)
	more := func(now time.Time) bool {
		return ctx.Err() == nil && (work.Duration == 0 || now.Before(until)) && (work.Calls == 0 || left.Add(-1) >= 0)
	}
	var running sync.WaitGroup
	for _, w := range f.workers {
		running.Go(func() { w.run(ctx, more) })
	}
	running.Wait()
	report := Report{Elapsed: time.Since(begin), Failures: map[Fault]int64{}, Examples: map[Fault]string{}, Latency: &latency.Histogram{}}
	for _, w := range f.workers {
		w.reportTo(&report)
	}
	return report
}
