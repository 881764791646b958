//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Of the streams that are measured: as fast as people read, and so long that beginnings are few among the tokens.
const (
	streamRate   = 50  // tokens per second
	streamTokens = 100 // of one stream
)

// streamReport is what streams of tokens cost.
type streamReport struct {
	Facts   facts          `json:"facts"`
	Streams int            `json:"streams"`
	Rounds  int            `json:"rounds"`
	Seconds float64        `json:"seconds_per_measurement"`
	Results []streamResult `json:"results"`
}

// streamResult is what one target did: medians over the rounds.
type streamResult struct {
	Target          string  `json:"target"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	// CPU is the processor time per token of the process in the middle, CPURatio that over the proxy's in the same round.
	CPU      float64 `json:"cpu_us_per_token"`
	CPURatio float64 `json:"cpu_ratio"`
	// Times to the first token and between tokens.
	First50 float64 `json:"first_p50_ms"`
	First99 float64 `json:"first_p99_ms"`
	Gap99   float64 `json:"between_p99_ms"`
	PeakRSS float64 `json:"peak_rss_mib"`
	Failed  int64   `json:"failed"`
	Example string  `json:"failure_example,omitempty"`
}

// streamSample is one measurement of one target.
type streamSample struct {
	rate         float64 // tokens per second
	cpu          time.Duration
	first50      time.Duration
	first99      time.Duration
	gap99        time.Duration
	failed       int64
	firstFailure error
}

// runStreams measures streams of tokens at each target that has any.
func runStreams(ctx context.Context, o *options) error {
	report := streamReport{Facts: gatherFacts(ctx), Streams: o.streams, Rounds: o.rounds, Seconds: o.duration.Seconds()}
	engine, addresses, err := startRole(ctx, o.dir, engineRole, fmt.Sprint(o.streams))
	if err != nil {
		return err
	}
	defer engine.stop()
	var lanes []*streamLane
	for _, name := range o.targets {
		start, ok := streamStarters[name]
		if !ok {
			return fmt.Errorf("-streams: target %q has no streams of tokens", name)
		}
		t, err := start(ctx, o, addresses[0])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer t.stop()
		lanes = append(lanes, &streamLane{streamTarget: t})
	}
	for round := range o.rounds {
		for i := range lanes { // another one begins each round
			l := lanes[(round+i)%len(lanes)]
			if err := l.measure(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	if report.Results, err = summarizeStreams(lanes); err != nil {
		return err
	}
	if err := publish(o, report, report.markdown); err != nil {
		return err
	}
	return report.verdict(o)
}

// streamLane is a target with its samples.
type streamLane struct {
	*streamTarget
	samples []streamSample
}

// measure takes one sample, once all streams have begun.
func (l *streamLane) measure(ctx context.Context, o *options) error {
	const once = streamTokens * time.Second / streamRate
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	readers := listen(ctx, l.streamTarget, o.streams, once)
	defer readers.wait()
	defer stop()
	pause(ctx, once+once/2)
	begin, before, err := l.clock()
	if err != nil {
		return err
	}
	readers.count(true)
	pause(ctx, o.duration)
	readers.count(false)
	end, after, err := l.clock()
	if err != nil {
		return err
	}
	stop()
	readers.wait()
	s := readers.sample()
	if s.tokens == 0 {
		return fmt.Errorf("no token came: %w", errors.Join(s.example, errors.New(l.lastWords())))
	}
	l.samples = append(l.samples, streamSample{
		rate: float64(s.tokens) / end.Sub(begin).Seconds(), cpu: (after - before) / time.Duration(s.tokens),
		first50: quantile(s.firsts, 0.5), first99: quantile(s.firsts, 0.99), gap99: quantile(s.gaps, 0.99), failed: s.failed, firstFailure: s.example,
	})
	return nil
}

// clock returns the time, and the processor time of the process in the middle.
func (t *streamTarget) clock() (time.Time, time.Duration, error) {
	if t.process == nil {
		return time.Now(), 0, nil
	}
	cpu, err := cpuTime(t.process.pid())
	return time.Now(), cpu, err
}

func (t *streamTarget) lastWords() string {
	if t.process == nil {
		return ""
	}
	return t.process.lastWords()
}

// summarizeStreams turns samples into results, in the way of [summarize].
func summarizeStreams(lanes []*streamLane) ([]streamResult, error) {
	var baseline []streamSample
	for _, l := range lanes {
		if l.name == proxyTarget {
			baseline = l.samples
		}
	}
	var results []streamResult
	for _, l := range lanes {
		middle := func(value func(streamSample) float64) float64 {
			var values []float64
			for _, s := range l.samples {
				values = append(values, value(s))
			}
			return median(values)
		}
		r := streamResult{
			Target:          l.name,
			TokensPerSecond: middle(func(s streamSample) float64 { return s.rate }),
			CPU:             middle(func(s streamSample) float64 { return in(time.Microsecond, s.cpu) }),
			First50:         middle(func(s streamSample) float64 { return in(time.Millisecond, s.first50) }),
			First99:         middle(func(s streamSample) float64 { return in(time.Millisecond, s.first99) }),
			Gap99:           middle(func(s streamSample) float64 { return in(time.Millisecond, s.gap99) }),
		}
		var ratios []float64
		for i, s := range l.samples {
			if i < len(baseline) {
				ratios = append(ratios, ratio(float64(s.cpu), float64(baseline[i].cpu)))
			}
			if r.Failed += s.failed; s.firstFailure != nil {
				r.Example = s.firstFailure.Error()
			}
		}
		r.CPURatio = median(ratios)
		if l.process != nil {
			m, err := memoryOf(l.process.pid())
			if err != nil {
				return nil, err
			}
			r.PeakRSS = float64(m.peak) / (1 << 20)
		}
		results = append(results, r)
	}
	return results, nil
}

// verdict is the error for streams that failed and for a broken budget.
func (r streamReport) verdict(o *options) error {
	var broken []string
	for _, s := range r.Results {
		if s.Failed > 0 {
			broken = append(broken, fmt.Sprintf("%s: %d streams failed, such as: %s", s.Target, s.Failed, s.Example))
		}
	}
	if last := r.Results[len(r.Results)-1]; o.budget > 0 && (last.CPURatio > o.budget || last.CPURatio == 0) {
		broken = append(broken, fmt.Sprintf("%s: %.2f times the processor time of the proxy", last.Target, last.CPURatio))
	}
	if len(broken) > 0 {
		return errors.New("over budget:\n  " + strings.Join(broken, "\n  "))
	}
	return nil
}

// markdown writes the report for people.
func (r streamReport) markdown(w io.Writer) {
	fmt.Fprintf(w, "%d streams at a time of %d tokens each, %d a second; every text is checked. The process in the middle is asked for chunks of a model that an "+
		"engine with OpenAI's API serves (test/fake/engine); the proxy relays that API itself. CPU is that of the process in the middle per token, × to the proxy "+
		"in the same round.\nCommit %s, %s, %s, %d cores; %d rounds of %g s.\n\n",
		r.Streams, streamTokens, streamRate, r.Facts.Commit, r.Facts.Go, r.Facts.System, r.Facts.Cores, r.Rounds, r.Seconds)
	row(w, "target", "tokens/s", "CPU µs", "×", "first token p50 ms", "added", "first token p99 ms", "added", "between tokens p99 ms", "peak RSS MiB", "failed")
	row(w, "---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	var direct *streamResult
	for i := range r.Results {
		if r.Results[i].Target == directTarget {
			direct = &r.Results[i]
		}
	}
	for _, s := range r.Results {
		cpu, cpuRatio, peak, added50, added99 := "–", "–", "–", "–", "–"
		if s.CPU > 0 {
			cpu, cpuRatio, peak = fmt.Sprintf("%.1f", s.CPU), fmt.Sprintf("%.2f", s.CPURatio), fmt.Sprintf("%.1f", s.PeakRSS)
			if direct != nil {
				added50, added99 = fmt.Sprintf("%.2f", s.First50-direct.First50), fmt.Sprintf("%.2f", s.First99-direct.First99)
			}
		}
		row(w, s.Target, fmt.Sprintf("%.0f", s.TokensPerSecond), cpu, cpuRatio, fmt.Sprintf("%.2f", s.First50), added50,
			fmt.Sprintf("%.2f", s.First99), added99, fmt.Sprintf("%.2f", s.Gap99), peak, fmt.Sprint(s.Failed))
	}
}
