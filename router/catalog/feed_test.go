package catalog

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// counted counts what the catalogue tells of.
func counted(c *Catalog) *int {
	n := new(int)
	c.OnChange(func(Change) { *n++ })
	return n
}

func TestCorner5_21_NoticesDrainAgainAndAFewArePassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		told := counted(c)
		c.Warm(t.Context())
		notices := func(what string, drains, tells int) {
			t.Helper()
			c.Notice("u", mcp.ToolsChanged)
			c.Notice("u", mcp.ToolsChanged) // within the time a notice is given to settle
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if up.asked() != drains || *told != tells {
				t.Errorf("%s: %d drains, %d notices passed on; want %d and %d", what, up.asked(), *told, drains, tells)
			}
		}
		notices("nothing that lists show", 2, 1)
		notices("again", 3, 2)
		notices("and again", 4, 3)
		notices("once too often", 5, 3)
		up.set(func(l *lister) { l.pages = []string{tools("a", "b")} })
		notices("a change", 6, 4)
		if diff := cmp.Diff([]string{"u__a", "u__b"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Error(diff)
		}
	})
}

// Corner case 5.21.
func TestCorner5_21_AnUpstreamThatNotifiesWheneverItIsListedDoesNotLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		up.listed = func() { c.Notice("u", mcp.ToolsChanged) }
		told := counted(c)
		c.Warm(t.Context())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := up.asked(); n > 40 || *told > 3 {
			t.Errorf("%d drains in ten minutes of notices that meant nothing, %d passed on", n, *told)
		}
	})
}

func TestCorner5_21_AFloodOfNoticesComesToRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		told := counted(c)
		c.Warm(t.Context())
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			c.Notice("u", mcp.ToolsChanged)
		}
		synctest.Wait()
		if n := up.asked(); n > 40 || *told > 3 {
			t.Errorf("%d drains in ten minutes, %d notices passed on", n, *told)
		}
	})
}

func TestCorner5_21_AStaleSnapshotIsServedWhileANewOneIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		c.Warm(t.Context())
		up.set(func(l *lister) { l.pages = []string{tools("b")} })
		time.Sleep(unsaidTTL + time.Second)
		if diff := cmp.Diff([]string{"u__a"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Errorf("served while fetching: %s", diff)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"u__b"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Errorf("served afterwards: %s", diff)
		}
	})
}

// A legacy server has no say in how long its lists are kept, the configuration has.
func TestListsOfServersThatDoNotSayHowLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &lister{pages: []string{`{"tools":[],"ttlMs":0,"cacheScope":"public"}`}, spoken: mcp.LatestLegacy}
		c := newCatalog(t)
		f := &c.newFeeds(Source{
			Name: "u", Handler: up, Describe: up.describe, Allows: func(string) bool { return true }, Unsaid: 10 * time.Minute,
		})[toolList]
		for _, step := range []struct {
			wait  time.Duration
			lists int
		}{{0, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}} {
			time.Sleep(step.wait)
			f.look(Anybody, ownClient(), time.Now())
			synctest.Wait()
			if got := up.asked(); got != step.lists {
				t.Errorf("listed %d times, want %d", got, step.lists)
			}
		}
	})
}

func TestCorner5_3_AnUpstreamThatComesBackIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &lister{fail: errors.New("down"), pages: []string{tools("a")}}
		c := newCatalog(t, named{"u", up}, named{"v", listing("x")})
		told := counted(c)
		c.Warm(t.Context())
		if diff := cmp.Diff([]string{"v__x"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Error(diff)
		}
		up.set(func(l *lister) { l.fail = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if *told != 1 {
			t.Errorf("%d changes told, want 1", *told)
		}
		if diff := cmp.Diff([]string{"u__a", "v__x"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Error(diff)
		}
		up.set(func(l *lister) { l.fail = errors.New("down again") })
		c.Notice("u", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"u__a", "v__x"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Errorf("the last snapshot is gone: %s", diff)
		}
	})
}

func TestCorner5_4_ARenamedToolIsAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a", "b")
		c := newCatalog(t, named{"u", up})
		told := counted(c)
		c.Warm(t.Context())
		up.set(func(l *lister) { l.pages = []string{tools("a", "c")} })
		time.Sleep(unsaidTTL + time.Second)
		names(t, c, merged(Always), listCall("")) // finds that it is stale
		time.Sleep(time.Second)
		synctest.Wait()
		if *told != 1 {
			t.Errorf("told of %d changes, want 1", *told)
		}
	})
}

func TestClientsThatCanBeAskedSeeTheirOwnLists(t *testing.T) {
	t.Parallel()
	up := listing("a")
	c := newCatalog(t, named{"u", up})
	call := listCall("")
	call.Client.Capabilities = []byte(`{"elicitation":{}}`)
	call.Client.Session = "s1"
	names(t, c, merged(Always), call)
	names(t, c, merged(Always), listCall(""))
	up.mu.Lock()
	defer up.mu.Unlock()
	if len(up.clients) != 2 || up.clients[0].Session != "s1" || up.clients[1].Session != "" {
		t.Errorf("asked as %+v; want once as the client, once as the gateway", up.clients)
	}
}

func TestAudiencesAreBounded(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"u", listing("a")})
	for i := range 5 * maxAudiences {
		names(t, c, merged(Always), peculiar(i))
	}
	f := &c.feeds("u")[toolList]
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.slots) > maxAudiences+1 {
		t.Errorf("%d audiences are kept, want at most %d", len(f.slots), maxAudiences)
	}
	tables := 0
	c.tables.Range(func(any, any) bool { tables++; return true })
	if tables > maxTables+1 {
		t.Errorf("%d tables are kept, want at most %d", tables, maxTables)
	}
}

// peculiar is a call of a client that is like no other.
func peculiar(i int) *rpc.Call {
	call := listCall("")
	call.Client.Capabilities = append(rpc.AppendInt([]byte(`{"elicitation":{"x":`), int64(i)), "}}"...)
	return call
}

// An upstream that does not answer has no more audiences than others.
func TestAudiencesOfASlowUpstreamAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		defer c.Close()
		answer := make(chan struct{})
		up.set(func(l *lister) { l.listed = func() { <-answer } })
		f := &c.feeds("u")[toolList]
		for i := range 3 * maxAudiences {
			f.look(AudienceOf(peculiar(i).Client), peculiar(i).Client, time.Now())
		}
		f.mu.Lock()
		if n := len(f.slots); n > maxAudiences+1 {
			t.Errorf("%d audiences are kept, want at most %d", n, maxAudiences)
		}
		f.mu.Unlock()
		close(answer)
		synctest.Wait()
		if snap, _, err := f.look(Anybody, ownClient(), time.Now()); snap == nil || err != nil {
			t.Errorf("nobody's list: %v, %v", snap, err)
		}
	})
}

func TestWhatIsKnownOfAClientOutlivesItsCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		call := listCall("")
		call.Client = rpc.Client{Era: rpc.Modern, Capabilities: []byte(`{"elicitation":{}}`), Info: []byte(`{"name":"x"}`)}
		names(t, c, merged(Always), call)
		clear(call.Client.Capabilities) // as a pooled body is, when the call is over
		clear(call.Client.Info)
		c.Notice("u", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		up.mu.Lock()
		defer up.mu.Unlock()
		if last := up.clients[len(up.clients)-1]; string(last.Capabilities) != `{"elicitation":{}}` || string(last.Info) != `{"name":"x"}` {
			t.Errorf("asked again as %q with %q", last.Info, last.Capabilities)
		}
	})
}
