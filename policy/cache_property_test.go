package policy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// T27: eight tenants, whose names resemble one another, read, call, change and go away at
// random (a million times each in a soak). Each private answer bears its tenant's mark,
// and nobody ever sees another's.
func TestT27_NobodySeesTheAnswersOfOthers(t *testing.T) {
	t.Parallel()
	operations := 5000
	if os.Getenv("HEADGATE_SOAK") != "" {
		operations = 1_000_000
	}
	cfg := everything
	cfg.MaxSize, cfg.SharePublic = 2*config.MiB, true // so small that answers are pushed out
	cfg.Tools.TTL, cfg.Tools.Stale = 2*time.Millisecond, time.Second
	k := newCached(t, cfg, "")
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		p := c.Principal
		scope, mark := "private", fmt.Sprintf("<%q>", []string{p.Org, p.Team, p.Key, p.User})
		if strings.HasPrefix(c.Target.Own, "public:") {
			scope, mark = "public", "<everybody>"
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, fmt.Appendf(nil, `{"contents":[%q],"padding":%q,"ttlMs":%d,"cacheScope":%q}`,
			mark, strings.Repeat("x", rand.IntN(2000)), rand.IntN(50), scope))), nil
	}
	tenants := []rpc.Principal{
		somebody("a", "", "", ""), somebody("", "a", "", ""), somebody("", "", "a", ""), somebody("", "", "", "a"),
		somebody("a", "a", "", ""), somebody("aa", "", "", ""), somebody("a\x01a", "", "", ""), somebody("a", "a", "a", "a"),
	}
	var all sync.WaitGroup
	for i, p := range tenants {
		all.Go(func() {
			own := fmt.Sprintf("<%q>", []string{p.Org, p.Team, p.Key, p.User})
			random := rand.New(rand.NewPCG(27, uint64(i)))
			for range operations {
				k.operate(t, random, p, own)
			}
		})
	}
	all.Wait()
	if asked := k.asked.Load(); asked == 0 || asked >= int64(len(tenants)*operations) {
		t.Errorf("the cache answered nothing: asked %d times", asked)
	}
}

// operate does something at random, and checks what a tenant sees of it.
func (k *cached) operate(t *testing.T, random *rand.Rand, p rpc.Principal, own string) {
	uri, want := fmt.Sprintf("private:%d", random.IntN(40)), own
	if random.IntN(4) == 0 {
		uri, want = fmt.Sprintf("public:%d", random.IntN(40)), "<everybody>"
	}
	c := read(t, p, uri)
	switch random.IntN(20) {
	case 0:
		k.cache.Invalidate(t.Context(), "one", uri)
		return
	case 1:
		if random.IntN(20) == 0 {
			k.cache.Invalidate(t.Context(), "one", "")
		}
		return
	case 2, 3, 4, 5:
		c, want = find(t, p, fmt.Sprintf(`"arguments":{"n":%d}`, random.IntN(10))), own
	}
	reply, err := k.handle(t.Context(), c)
	if err != nil {
		t.Error(err)
		return
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	if random.IntN(20) == 0 {
		return // it goes away
	}
	m, err := reply.Next()
	if err != nil {
		t.Error(err)
		return
	}
	contents, _ := m.Get("contents")
	if got := string(contents); got != fmt.Sprintf("[%q]", want) {
		t.Errorf("%s was shown %s for %s", own, got, c.Target.Own)
	}
}
