package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestEveryWayServesEverything: whatever chooses, each request has its answer, whole, and no engine computes more than was asked for.
func TestEveryWayServesEverything(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"-duration", "2s"})
	if err != nil {
		t.Fatal(err)
	}
	requests := traffic(o)
	wanted := 0
	for _, q := range requests {
		wanted += q.tokens
	}
	for _, way := range o.ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r, err := measure(t.Context(), o, way, requests)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := report(&out, []result{r}); err != nil {
				t.Errorf("%v\n%s", err, &out)
			}
			t.Log("\n" + out.String())
			var sampled int64
			asked := 0
			for _, e := range r.engines {
				sampled += e.sampled
				asked += min(e.requests, 1)
			}
			if asked < 2 { // chance may leave one out, and not three
				t.Errorf("%d engines were asked", asked)
			}
			if r.tokens != wanted || sampled < int64(wanted) || sampled > int64(wanted+len(r.engines)) { // warming up takes a token each
				t.Errorf("%d tokens wanted, %d read, %d sampled", wanted, r.tokens, sampled)
			}
		})
	}
}

func TestFailuresAreReported(t *testing.T) {
	t.Parallel()
	for why, fails := range map[string]bool{"503: no": true, errPatience.Error(): false} {
		r := result{way: direct, requests: 7, failed: map[string]int{why: 2}}
		var out bytes.Buffer
		err := report(&out, []result{r})
		if (err != nil) != fails || !strings.Contains(out.String(), "| 5 of 7 |") || !strings.Contains(out.String(), "2 × "+why) {
			t.Errorf("%v\n%s", err, &out)
		}
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-engines", "0"}, {"-load", "0"}, {"-slow", "0.5"}, {"-ways", "by magic"}, {"-nonsense"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
