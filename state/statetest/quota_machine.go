package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/headgate/headgate/state"
)

// QuotaMachine does random operations with an engine and compares every answer with
// that of a model.
func QuotaMachine(t *testing.T, open Open) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		script := quotaScript{
			Limits: rapid.SliceOfN(rapid.SampledFrom(machineLimits), quotaBuckets, quotaBuckets).Draw(r, "limits"),
			Ops:    rapid.SliceOfN(rapid.Custom(drawQuotaOp), 1, 60).Draw(r, "script"),
		}
		var err error
		open(t, func(t *testing.T, s *Subject) {
			t.Helper()
			err = playQuota(t.Context(), s, script)
		})
		if err != nil {
			r.Fatal(err)
		}
	})
}

// quotaBuckets is how many buckets a script has: few, so that much happens to each.
const quotaBuckets = 3

type quotaScript struct {
	Limits []*state.Limit // of the buckets
	Ops    []quotaOp
}

// quotaOp is one operation, drawn before it is known what it meets.
type quotaOp struct {
	Do      string
	Charges []drawnCharge
	Hold    int // one of those there are then
	TTL     time.Duration
	Parts   []int // per cent of what is held, or for an extension, amounts
	Bucket  int
	Max     int64
}

type drawnCharge struct {
	Bucket int
	Cost   int64
}

func drawQuotaOp(r *rapid.T) quotaOp {
	few := func(most int) time.Duration {
		return time.Duration(rapid.IntRange(1, most).Draw(r, "ms")) * time.Millisecond
	}
	op := quotaOp{
		Do:      rapid.SampledFrom([]string{"reserve", "reserve", "spend", "settle", "extend", "lease", "peek", "advance", "relimit", "restart"}).Draw(r, "do"),
		Charges: rapid.SliceOfNDistinct(rapid.Custom(drawCharge), 1, quotaBuckets, func(c drawnCharge) int { return c.Bucket }).Draw(r, "charges"),
		Hold:    rapid.OneOf(rapid.IntRange(0, 2), rapid.IntRange(0, 9)).Draw(r, "hold"),
		Parts:   rapid.SliceOfN(rapid.IntRange(0, 200), 0, 4).Draw(r, "parts"),
		Bucket:  rapid.IntRange(0, quotaBuckets-1).Draw(r, "bucket"),
		Max:     rapid.Int64Range(0, 600).Draw(r, "max"),
	}
	if op.TTL = few(90_000); op.Do == "advance" {
		op.TTL = few(rapid.SampledFrom([]int{300, 300, 20_000, 20_000, 700_000, 90_000_000}).Draw(r, "most"))
	}
	return op
}

func drawCharge(r *rapid.T) drawnCharge {
	return drawnCharge{
		Bucket: rapid.IntRange(0, quotaBuckets-1).Draw(r, "bucket"),
		Cost:   rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, 400)).Draw(r, "cost"),
	}
}

// machineLimits are all kinds, small enough that everything happens.
var machineLimits = []*state.Limit{
	{Kind: state.Rate, Max: 8, Refill: 4, Per: time.Second},
	{Kind: state.Rate, Max: 100, Refill: 1, Per: 10 * time.Millisecond},
	{Kind: state.Calendar, Max: 20, Period: state.Minute},
	{Kind: state.Calendar, Max: 300, Period: state.Day, Zone: time.FixedZone("UTC+5:45", 20700), Durable: true},
	{Kind: state.Calendar, Max: 1000, Period: state.Month},
	{Kind: state.Rolling, Max: 30, Per: time.Minute},
	{Kind: state.Rolling, Max: 500, Per: time.Hour, Durable: true},
	{Kind: state.InFlight, Max: 4},
	{Kind: state.InFlight, Max: 9},
}

// quotaPlayer does the same with an engine and the model.
type quotaPlayer struct {
	s      *Subject
	m      *model
	limits []*state.Limit
	ids    []state.HoldID
}

func playQuota(ctx context.Context, s *Subject, script quotaScript) error {
	now, err := s.Clock.Now(ctx)
	if err != nil {
		return err
	}
	p := &quotaPlayer{s: s, m: newModel(now), limits: slices.Clone(script.Limits)}
	for i, op := range script.Ops {
		if op.Do == "advance" {
			s.Advance(op.TTL)
			p.m.now += int64(op.TTL)
		} else if err := p.play(ctx, op); err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, op.Do, err)
		}
	}
	return nil
}

func (p *quotaPlayer) play(ctx context.Context, op quotaOp) error {
	switch op.Do {
	case "reserve", "spend":
		return p.reserve(ctx, op)
	case "settle":
		return p.settle(ctx, op)
	case "extend":
		return p.extend(ctx, op)
	case "lease":
		return p.lease(ctx, op)
	case "peek":
		return p.peek(ctx, op)
	case "restart":
		if p.s.Restart != nil {
			p.s.Restart()
			p.m.restart()
		}
		return nil
	default: // as a new configuration does
		l := *p.limits[op.Bucket]
		l.Max = op.Max
		p.limits[op.Bucket] = &l
		return nil
	}
}

func (p *quotaPlayer) charges(op quotaOp) []state.Charge {
	var out []state.Charge
	for _, c := range op.Charges {
		if op.Do != "spend" || p.limits[c.Bucket].Kind != state.InFlight {
			out = append(out, state.Charge{Bucket: fmt.Sprint("bucket ", c.Bucket), Cost: c.Cost, Limit: p.limits[c.Bucket]})
		}
	}
	return out
}

func (p *quotaPlayer) newID() state.HoldID {
	p.ids = append(p.ids, state.HoldID{1, byte(len(p.ids))})
	return p.ids[len(p.ids)-1]
}

// hold is one of the last that were made, or one that never was.
func (p *quotaPlayer) hold(op quotaOp) state.HoldID {
	if op.Hold >= len(p.ids) {
		return state.HoldID{2}
	}
	return p.ids[len(p.ids)-1-op.Hold]
}

func (p *quotaPlayer) reserve(ctx context.Context, op quotaOp) error {
	charges, ttl := p.charges(op), op.TTL
	if op.Do == "spend" {
		ttl = 0
	}
	if len(charges) == 0 {
		return nil
	}
	id := p.newID()
	got, err := p.s.Quota.Reserve(ctx, id, charges, ttl, nil)
	return p.compare(err, p.m.reserve(id, charges, ttl), got, charges)
}

func (p *quotaPlayer) settle(ctx context.Context, op quotaOp) error {
	id := p.hold(op)
	var actual []int64
	if h := p.m.holds[id]; h != nil {
		for i, part := range op.Parts[:min(len(op.Parts), len(h.parts))] {
			actual = append(actual, h.parts[i].amount*int64(part)/100)
		}
	}
	got, err := p.s.Quota.Settle(ctx, id, actual)
	if want := p.m.settle(id, actual); got != want || err != nil {
		return fmt.Errorf("%v, %w, want %v", got, err, want)
	}
	return nil
}

func (p *quotaPlayer) extend(ctx context.Context, op quotaOp) error {
	id := p.hold(op)
	h := p.m.open(id)
	if h == nil {
		if _, err := p.s.Quota.Extend(ctx, id, nil, op.TTL, nil); !errors.Is(err, state.ErrNoHold) {
			return fmt.Errorf("what is not open: %w", err)
		}
		return nil
	}
	var more []int64
	for _, part := range op.Parts[:min(len(op.Parts), len(h.parts))] {
		more = append(more, int64(part)/20)
	}
	got, err := p.s.Quota.Extend(ctx, id, more, op.TTL, nil)
	return p.compare(err, p.m.extend(h, more, op.TTL), got, p.m.charges(h))
}

func (p *quotaPlayer) lease(ctx context.Context, op quotaOp) error {
	c := p.charges(op)[0]
	c.Cost++
	id := p.newID()
	got, balance, err := p.s.Quota.Lease(ctx, id, c, op.TTL)
	want, refusal := p.m.lease(id, c, op.TTL)
	if got != want {
		return fmt.Errorf("got %d, want %d: %w", got, want, err)
	}
	return p.compare(err, refusal, []state.Balance{balance}, []state.Charge{c})
}

func (p *quotaPlayer) peek(ctx context.Context, op quotaOp) error {
	charges := p.charges(op)
	got, err := p.s.Quota.Peek(ctx, charges, nil)
	if err := p.compare(err, p.m.refusal(charges), got, charges); err != nil {
		return err
	}
	return differ("balances", p.m.balances(charges), got)
}

// compare compares an outcome with that of the model.
func (p *quotaPlayer) compare(err error, want *state.Refusal, got []state.Balance, charges []state.Charge) error {
	if want == nil {
		if err != nil {
			return err
		}
		return differ("balances", p.m.balances(charges), got)
	}
	refusal, ok := errors.AsType[*state.Refusal](err)
	if !ok {
		return fmt.Errorf("%w, want a refusal: %+v", err, want) //nolint:errorlint // it is not the cause
	}
	return differ("refusal", want, refusal)
}

func differ(what string, want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("%s (-want +got): %s", what, diff)
	}
	return nil
}
