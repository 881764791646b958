package embedded

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// The charges of one call: a rate, and a budget at each of four levels, so large that
// its blocks last.
func benchCharges(who string) []state.Charge {
	rate := &state.Limit{Kind: state.Rate, Max: math.MaxInt64 / 4, Refill: 1e9, Per: time.Second}
	day := &state.Limit{Kind: state.Calendar, Max: math.MaxInt64 / 4, Period: state.Day, Durable: true}
	return []state.Charge{
		{Bucket: "rate\x00" + who, Cost: 1, Limit: rate},
		{Bucket: "org-day\x00acme", Cost: 10, Limit: day},
		{Bucket: "team-day\x00acme/search", Cost: 10, Limit: day},
		{Bucket: "key-day\x00" + who, Cost: 10, Limit: day},
		{Bucket: "user-day\x00" + who, Cost: 10, Limit: day},
	}
}

// BenchmarkReserve is what a call pays before it runs, within blocks that the file has.
func BenchmarkReserve(b *testing.B) {
	for name, run := range map[string]func(b *testing.B, q *Quota){
		"rate":                 func(b *testing.B, q *Quota) { b.Helper(); benchSpend(b, q, 1) },
		"rate and four levels": func(b *testing.B, q *Quota) { b.Helper(); benchSpend(b, q, 5) },
		"hold and settle":      benchSettle,
	} {
		b.Run(name, func(b *testing.B) {
			e := opened(b, inFolder(b), Options{})
			defer closed(b, e)
			if _, err := e.Quota().Reserve(b.Context(), state.HoldID{}, benchCharges("k1"), 0, nil); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			run(b, e.Quota())
		})
	}
}

func benchSpend(b *testing.B, q *Quota, n int) {
	b.Helper()
	charges := benchCharges("k1")[:n]
	into := make([]state.Balance, 0, n)
	for b.Loop() {
		if _, err := q.Reserve(b.Context(), state.HoldID{}, charges, 0, into); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSettle(b *testing.B, q *Quota) {
	b.Helper()
	charges := benchCharges("k1")
	into := make([]state.Balance, 0, len(charges))
	actual := []int64{1, 7, 7, 7, 7}
	var id state.HoldID
	n := uint64(0)
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(id[:], n)
		if _, err := q.Reserve(b.Context(), id, charges, time.Minute, into); err != nil {
			b.Fatal(err)
		}
		if done, err := q.Settle(b.Context(), id, actual); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

// BenchmarkReserveTogether has all processors charge one organisation.
func BenchmarkReserveTogether(b *testing.B) {
	e := opened(b, inFolder(b), Options{})
	defer closed(b, e)
	var worker atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		charges := benchCharges(string(rune('a' + worker.Add(1))))
		into := make([]state.Balance, 0, len(charges))
		for pb.Next() {
			if _, err := e.Quota().Reserve(b.Context(), state.HoldID{}, charges, 0, into); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
