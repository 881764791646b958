//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// idleReport is what idle legacy streams cost a target and whether they work.
type idleReport struct {
	Facts   facts  `json:"facts"`
	Target  string `json:"target"`
	Streams int    `json:"streams"`
	// KiBPerStream is the growth of resident memory divided by the number of streams.
	KiBPerStream float64 `json:"kib_per_stream"`
	// Before, Held, Told and After are the process before the first stream, with all of them idle, after all were told
	// of a change, and after all clients have gone. Again is as Held, when as many new clients have come and gone three
	// times: a runtime hands memory back late, but must use again what those before have left.
	Before state `json:"before"`
	Held   state `json:"held"`
	Told   state `json:"told"`
	After  state `json:"after"`
	Again  state `json:"again"`
	// Lost is the streams that ended while they were held, Heard those that were told of the change in time, and
	// SecondsToLast how long the last of them waited.
	Lost          int     `json:"lost"`
	Heard         int     `json:"heard"`
	SecondsToLast float64 `json:"seconds_to_last"`
	// Tools is the length of the tool list after the change, and WantTools what it should be.
	Tools     int `json:"tools"`
	WantTools int `json:"want_tools"`
	// OpenSeconds is how long it took to open all streams.
	OpenSeconds float64 `json:"open_seconds"`
}

// state is a process at one time.
type state struct {
	RSS         float64 `json:"rss_mib"`
	Descriptors int     `json:"descriptors"`
	// Goroutines is zero where the process does not tell.
	Goroutines int `json:"goroutines"`
}

// idleTarget is a process that keeps the streams.
type idleTarget struct {
	name    string
	process *child
	url     string
	metrics string
}

// runIdle measures idle streams at Headgate if that is a target; at "direct" it is the upstream itself that keeps them.
func runIdle(ctx context.Context, o *options) error {
	upstream, addresses, err := startRole(ctx, o.dir, upstreamRole, "1")
	if err != nil {
		return err
	}
	defer upstream.stop()
	t := &idleTarget{name: directTarget, process: upstream, url: "http://" + addresses[0] + "/mcp"}
	if slices.Contains(o.targets, headgateTarget) {
		g, err := startGateway(ctx, o, addresses, "legacy", "")
		if err != nil {
			return err
		}
		defer g.stop()
		t = &idleTarget{name: headgateTarget, process: g.child, url: "http://" + g.address + "/mcp", metrics: "http://" + g.admin + "/metrics"}
	} else if last := o.targets[len(o.targets)-1]; last != directTarget {
		return fmt.Errorf("-idle: target %q keeps no streams", last)
	}
	r, err := measureIdle(ctx, o, t, upstream)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", t.name, err, t.process.lastWords())
	}
	if err := publish(o, r, r.markdown); err != nil {
		return err
	}
	return r.verdict(o.budget)
}

// measureIdle goes through the life of the streams.
func measureIdle(ctx context.Context, o *options, t *idleTarget, upstream *child) (*idleReport, error) {
	const settle = 2 * time.Second
	r := &idleReport{Facts: gatherFacts(ctx), Target: t.name, Streams: o.idle, WantTools: upstreamTools + 1}
	if err := t.warmUp(ctx); err != nil {
		return nil, err
	}
	pause(ctx, settle)
	var err error
	if r.Before, err = t.state(ctx); err != nil {
		return nil, err
	}
	begin := time.Now()
	crowd, err := openCrowd(ctx, t.url, o.idle)
	if err != nil {
		return nil, err
	}
	defer crowd.leave()
	r.OpenSeconds = time.Since(begin).Seconds()
	pause(ctx, settle+o.hold)
	if r.Held, err = t.state(ctx); err != nil {
		return nil, err
	}
	r.KiBPerStream = (r.Held.RSS - r.Before.RSS) * 1024 / float64(o.idle)
	r.Lost = crowd.ended()
	if err := r.change(ctx, t, upstream, crowd); err != nil {
		return nil, err
	}
	pause(ctx, settle)
	if r.Told, err = t.state(ctx); err != nil {
		return nil, err
	}
	crowd.leave()
	if r.After, err = t.settled(ctx, r.Before); err != nil {
		return nil, err
	}
	r.Again, err = t.comeAndGo(ctx, o.idle, settle)
	return r, err
}

// comeAndGo lets crowds come and go and returns the process with the last of them still there.
func (t *idleTarget) comeAndGo(ctx context.Context, streams int, settle time.Duration) (state, error) {
	const crowds = 3
	var last state
	for range crowds {
		c, err := openCrowd(ctx, t.url, streams)
		if err != nil {
			return last, err
		}
		pause(ctx, settle)
		last, err = t.state(ctx)
		c.leave()
		if err != nil {
			return last, err
		}
	}
	return last, nil
}

// change has the upstream change its tools and waits until all streams have heard of it, and looks at the list then.
func (r *idleReport) change(ctx context.Context, t *idleTarget, upstream *child, all *crowd) error {
	const patience = 60 * time.Second
	begin := time.Now()
	if _, err := fmt.Fprintf(upstream.stdin, "tools %d\n", r.WantTools); err != nil {
		return err
	}
	r.Heard = all.awaitHeard(ctx, patience)
	r.SecondsToLast = time.Since(begin).Seconds()
	var err error
	r.Tools, err = t.countTools(ctx)
	return err
}

// verdict is the error for streams that were lost, deaf or kept, for memory that is, and for a broken budget of KiB per stream.
func (r *idleReport) verdict(budget float64) error {
	switch {
	case r.Lost > 0 || r.Heard < r.Streams:
		return fmt.Errorf("of %d streams %d were lost while idle and %d were told of the change", r.Streams, r.Lost, r.Heard)
	case r.Tools != r.WantTools:
		return fmt.Errorf("after the change the list has %d tools instead of %d", r.Tools, r.WantTools)
	case r.After.Descriptors > r.Before.Descriptors+leftoverDescriptors:
		return fmt.Errorf("%d descriptors are open after all clients have gone, %d before", r.After.Descriptors, r.Before.Descriptors)
	case r.Again.RSS > r.Told.RSS*leakFactor:
		return fmt.Errorf("%.1f MiB with the fourth crowd of clients, %.1f with the first: memory of clients that have gone is kept", r.Again.RSS, r.Told.RSS)
	case budget > 0 && r.KiBPerStream > budget:
		return fmt.Errorf("over budget: %.1f KiB per stream, allowed are %.1f", r.KiBPerStream, budget)
	}
	return nil
}

// markdown writes the report for people.
func (r *idleReport) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Idle streams: %s\n\n%d legacy sessions of clients without capabilities, each with its GET stream on a connection of its own, "+
		"one upstream.\nCommit %s, %s, %s, %d cores.\n\n", r.Target, r.Streams, r.Facts.Commit, r.Facts.Go, r.Facts.System, r.Facts.Cores)
	row(w, "when", "RSS MiB", "descriptors", "goroutines")
	row(w, "---", "---:", "---:", "---:")
	for _, moment := range []struct {
		name string
		state
	}{{"before", r.Before}, {"streams idle", r.Held}, {"after list_changed", r.Told}, {"clients gone", r.After}, {"as many again, the third time", r.Again}} {
		goroutines := "not told"
		if moment.Goroutines > 0 {
			goroutines = fmt.Sprint(moment.Goroutines)
		}
		row(w, moment.name, fmt.Sprintf("%.1f", moment.RSS), fmt.Sprint(moment.Descriptors), goroutines)
	}
	fmt.Fprintf(w, "\n**%.1f KiB of RSS per stream.** Opened in %.1f s; %d lost while idle; list_changed reached %d, the last after %.2f s; "+
		"%d of %d tools listed then.\n", r.KiBPerStream, r.OpenSeconds, r.Lost, r.Heard, r.SecondsToLast, r.Tools, r.WantTools)
}

// state reads the process as it is now.
func (t *idleTarget) state(ctx context.Context) (state, error) {
	m, err := memoryOf(t.process.pid())
	if err != nil {
		return state{}, err
	}
	s := state{RSS: float64(m.resident) / (1 << 20)}
	if s.Descriptors, err = descriptors(t.process.pid()); err != nil {
		return state{}, err
	}
	if t.metrics != "" {
		s.Goroutines, _ = goroutines(ctx, t.metrics)
	}
	return s, nil
}

// leftoverDescriptors is how many more descriptors than before are no leak: connections toward the upstream that are kept.
const leftoverDescriptors = 16

// leakFactor is how many times the memory of the first crowd the fourth may take. Up to twice is garbage that the collector
// has not had to look at yet; if everything leaked it would be four times.
const leakFactor = 2.2

// settled returns the process when its descriptors are about as many as before, or after a while anyhow.
func (t *idleTarget) settled(ctx context.Context, before state) (state, error) {
	const patience, interval = 30 * time.Second, 250 * time.Millisecond
	for begin := time.Now(); ; pause(ctx, interval) {
		s, err := t.state(ctx)
		if err != nil || s.Descriptors <= before.Descriptors+leftoverDescriptors || time.Since(begin) > patience || ctx.Err() != nil {
			return s, err
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
