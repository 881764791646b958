package policy

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWarningIsGivenOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRecentWarnings()
		for i := range 100 {
			bucket := strconv.Itoa(i)
			if !w.once(warning{"near", bucket}, time.Minute) || w.once(warning{"near", bucket}, time.Minute) {
				t.Errorf("bucket %d: not once", i)
			}
			if !w.once(warning{"exceeded", bucket}, time.Minute) {
				t.Errorf("bucket %d: one warning stands for another", i)
			}
		}
		time.Sleep(time.Minute)
		if !w.once(warning{"near", "7"}, time.Minute) {
			t.Error("it is never given again")
		}
	})
}

func TestWarningsAreForgottenWhenThereAreTooMany(t *testing.T) {
	t.Parallel()
	w := newRecentWarnings()
	for i := range 10 * warnings {
		w.once(warning{"near", strconv.Itoa(i)}, time.Hour)
	}
	kept := 0
	for _, s := range w.shards {
		kept += s.Len()
	}
	if kept > warnings {
		t.Errorf("%d are remembered", kept)
	}
}

func BenchmarkWarningsThatWereGiven(b *testing.B) {
	w := newRecentWarnings()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		bucket := strconv.FormatInt(time.Now().UnixNano(), 10)
		for p.Next() {
			w.once(warning{"near", bucket}, time.Hour)
		}
	})
}
