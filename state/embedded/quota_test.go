package embedded

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/state/statetest"
)

// pass has time pass, and what is due then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// subject runs a test with an engine in a bubble, where time passes when it is told to.
func subject(t *testing.T, test func(t *testing.T, s *statetest.Subject)) {
	t.Helper()
	path := inFolder(t)
	synctest.Test(t, func(t *testing.T) {
		e := opened(t, path, Options{})
		defer closed(t, e)
		test(t, &statetest.Subject{Quota: e.Quota(), Jobs: e.Jobs(), Cache: e.Cache(), Bus: e.Bus(), Logs: e.Logs(), Clock: e, Advance: pass})
	})
}

func TestQuotaMachine(t *testing.T) {
	t.Parallel()
	statetest.QuotaMachine(t, subject)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	statetest.Quota(t, subject)
}

func TestQuotaHistory(t *testing.T) {
	t.Parallel()
	statetest.QuotaHistory(t, subject)
}
