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
		var e *Engine
		s := &statetest.Subject{Advance: pass}
		open := func() {
			e = opened(t, path, Options{})
			s.Quota, s.Jobs, s.Cache, s.Bus, s.Logs, s.Clock, s.Said = e.Quota(), e.Jobs(), e.Cache(), e.Bus(), e.Logs(), e, e.Conversations()
			synctest.Wait() // what was due is done
		}
		s.Restart = func() {
			closed(t, e)
			open()
		}
		open()
		defer func() { closed(t, e) }()
		test(t, s)
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
