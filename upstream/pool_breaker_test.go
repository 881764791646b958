package upstream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"pgregory.net/rapid"
)

// machine is a breaker as it is described: closed until so many calls failed in a row, then open for a time, then one call tries.
type machine struct {
	failures int
	openFor  time.Duration

	row      int
	open     bool
	since    time.Time
	trying   bool // half-open, and its place is taken
	halfOpen bool
	epoch    int
}

// ticket is a call in flight: which epoch of the machine it began in.
type ticket struct {
	epoch int
	trial bool
	real  pass
}

func (m *machine) move(open, halfOpen bool) {
	m.open, m.halfOpen, m.trying, m.row = open, halfOpen, false, 0
	m.since = time.Now()
	m.epoch++
}

func (m *machine) enter() (ticket, bool) {
	if m.open && time.Since(m.since) > m.openFor {
		m.move(false, true)
	}
	if m.open || m.halfOpen && m.trying {
		return ticket{}, false
	}
	m.trying = m.halfOpen
	return ticket{epoch: m.epoch, trial: m.halfOpen}, true
}

func (m *machine) settle(t ticket, outcome error) {
	switch {
	case t.epoch != m.epoch: // it began before the state changed
	case outcome == errNeither: //nolint:errorlint // one of three values
		if t.trial {
			m.trying = false
		}
	case outcome == nil && t.trial:
		m.move(false, false)
	case outcome == nil:
		m.row = 0
	case t.trial:
		m.move(true, false)
	default:
		if m.row++; m.row >= m.failures {
			m.move(true, false)
		}
	}
}

func (m *machine) state() string {
	switch {
	case m.open && time.Since(m.since) <= m.openFor:
		return "open"
	case m.open, m.halfOpen:
		return "half-open"
	}
	return "closed"
}

// The breaker does what is described, whichever of its calls pass it by. Calls overlap, end in any order and in any way.
func TestTheBreakerIsTheMachine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		failures := rapid.IntRange(1, 4).Draw(r, "failures")
		script := rapid.SliceOfN(rapid.Uint64(), 1, 200).Draw(r, "script")
		problem := ""
		synctest.Test(t, func(*testing.T) { problem = play(failures, script) })
		if problem != "" {
			r.Fatal(problem)
		}
	})
}

func play(failures int, script []uint64) string {
	const openFor = 10 * time.Second
	m := &machine{failures: failures, openFor: openFor}
	began := time.Now()
	b := newBreaker(BreakerConfig{Failures: failures, OpenFor: openFor}, func() int64 { return int64(time.Since(began)) + 1 }, func(gobreaker.State) {})
	var flying []ticket
	for _, raw := range script {
		step := int(Mix(raw+1) % 100) // as often one as the other: small numbers are drawn more often
		switch {
		case step < 55:
			want, may := m.enter()
			got, ok := b.enter()
			if ok != may {
				return "let through: " + map[bool]string{true: "yes", false: "no"}[ok] + ", state " + m.state()
			}
			if want.real = got; may {
				flying = append(flying, want)
			}
		case step < 90 && len(flying) > 0:
			i := step % len(flying)
			outcome := [...]error{nil, errFailed, errFailed, errNeither}[step%4]
			m.settle(flying[i], outcome)
			b.settle(flying[i].real, outcome)
			flying = append(flying[:i], flying[i+1:]...)
		case step >= 90:
			time.Sleep(time.Duration(step-89) * 2 * time.Second)
		}
		if got := b.state(); got != m.state() {
			return "state " + got + ", want " + m.state()
		}
	}
	return ""
}

// Calls that pass the breaker by count all the same when they end beside one that failed.
func TestCallsThatOverlapAreCounted(t *testing.T) {
	t.Parallel()
	b := newBreaker(BreakerConfig{Failures: 2, OpenFor: time.Hour}, func() int64 { return 1 }, func(gobreaker.State) {})
	var calls [4]pass
	for i := range calls {
		calls[i], _ = b.enter()
	}
	for i, outcome := range []error{errFailed, nil, errFailed} {
		if b.settle(calls[i], outcome); b.state() != "closed" {
			t.Fatalf("open after call %d, though no two failed in a row", i)
		}
	}
	if b.settle(calls[3], errFailed); b.state() != "open" {
		t.Errorf("%s after two failures in a row", b.state())
	}
}

func BenchmarkPool(b *testing.B) {
	reply, err := answers()
	if err != nil {
		b.Fatal(err)
	}
	for name, cfg := range map[string]struct {
		cfg     PoolConfig
		weights []int
	}{
		"one":                  {PoolConfig{}, []int{1}},
		"one with breaker":     {PoolConfig{Breaker: BreakerConfig{Failures: 5}}, []int{1}},
		"three least-loaded":   {PoolConfig{Breaker: BreakerConfig{Failures: 5}}, []int{1, 1, 1}},
		"three weighted":       {PoolConfig{Breaker: BreakerConfig{Failures: 5}, Balance: Weighted}, []int{1, 1, 1}},
		"three consistent":     {PoolConfig{Breaker: BreakerConfig{Failures: 5}, Balance: ConsistentHash}, []int{1, 1, 1}},
		"none: a handler only": {},
	} {
		b.Run(name, func(b *testing.B) {
			p, s := newPool(cfg.cfg, cfg.weights...)
			for i := range s {
				s[i].do = answers
			}
			b.ReportAllocs()
			for b.Loop() {
				if len(s) == 0 {
					reply, err = answers()
				} else {
					reply, err = p.Handle(b.Context(), aCall)
				}
				if err != nil {
					b.Fatal(err)
				}
				if _, err := reply.Next(); err != nil {
					b.Fatal(err)
				}
				_ = reply.Close()
			}
		})
	}
}
