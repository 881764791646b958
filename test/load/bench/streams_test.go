//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestStreamsAreMeasuredAtEveryTarget(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("lets streams begin for some seconds")
	}
	keepThread(t)
	o := &options{streams: 4, rounds: 1, duration: 200 * time.Millisecond, targets: []string{directTarget, proxyTarget}, dir: t.TempDir(), format: "json", out: t.TempDir() + "/report.json"}
	if err := runStreams(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.targets = []string{observedTarget}
	if err := runStreams(t.Context(), o); err == nil {
		t.Error("a target without streams was measured")
	}
}

func TestStreamsAreSummarized(t *testing.T) {
	t.Parallel()
	samples := func(cpu ...time.Duration) (out []streamSample) {
		for _, d := range cpu {
			out = append(out, streamSample{rate: 10, cpu: d, first50: 2 * time.Millisecond, first99: 4 * time.Millisecond})
		}
		return out
	}
	lane := func(name string, s []streamSample) *streamLane {
		return &streamLane{&streamTarget{name: name}, s}
	}
	results, err := summarizeStreams([]*streamLane{
		lane(directTarget, samples(0)), lane(proxyTarget, samples(10_000, 90_000, 12_000)), lane(headgateTarget, samples(5_000, 45_000, 6_000)),
	})
	if err != nil {
		t.Fatal(err)
	}
	results[2].First50 += 0.5
	if results[2].CPURatio != 0.5 || results[2].CPU != 6 {
		t.Errorf("%+v", results[2])
	}
	r := streamReport{Streams: 4, Rounds: 3, Results: results}
	var text strings.Builder
	r.markdown(&text)
	for _, want := range []string{"| direct | 10 | – | – | 2.00 | – |", "| headgate | 10 | 6.0 | 0.50 | 2.50 | 0.50 | 4.00 | 0.00 |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
	for _, budget := range []float64{0.4, 0.6} {
		if err := r.verdict(&options{budget: budget}); (err != nil) != (budget < 0.5) {
			t.Errorf("budget %v: %v", budget, err)
		}
	}
	r.Results[0].Failed = 1
	if r.verdict(&options{}) == nil {
		t.Error("streams that failed are no failure")
	}
}
