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

// changes counts what the catalogue tells of.
func changes(c *Catalog) *int {
	n := new(int)
	c.OnChange(func(string, string) { *n++ })
	return n
}

func TestANoticeDrainsAgainAndTellsOnlyOfChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		told := changes(c)
		c.Warm(t.Context())

		c.Notice("u", mcp.ToolsChanged)
		c.Notice("u", mcp.ToolsChanged) // within the time a notice is given to settle
		time.Sleep(time.Second)
		synctest.Wait()
		if up.asked() != 2 || *told != 1 {
			t.Errorf("%d drains, %d changes told; want 2 and the first notice", up.asked(), *told)
		}
		c.Notice("u", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		if up.asked() != 3 || *told != 1 {
			t.Errorf("%d drains, %d changes told; want 3 and no more than before", up.asked(), *told)
		}
		up.set(func(l *lister) { l.pages = []string{tools("a", "b")} })
		c.Notice("u", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		if up.asked() != 4 || *told != 2 {
			t.Errorf("%d drains, %d changes told; want 4 and 2", up.asked(), *told)
		}
		if diff := cmp.Diff([]string{"u__a", "u__b"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnUpstreamThatNotifiesWheneverItIsListedDoesNotLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		told := changes(c)
		c.Warm(t.Context())
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			c.Notice("u", mcp.ToolsChanged)
		}
		if n := up.asked(); n > 40 {
			t.Errorf("%d drains in ten minutes of notices that meant nothing", n)
		}
		if *told != 1 {
			t.Errorf("%d notices that meant nothing were passed on, want the first", *told)
		}
	})
}

func TestAStaleSnapshotIsServedWhileANewOneIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		c.Warm(t.Context())
		up.set(func(l *lister) { l.pages = []string{tools("b")} })
		time.Sleep(legacyTTL + time.Second)
		if diff := cmp.Diff([]string{"u__a"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Errorf("served while fetching: %s", diff)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"u__b"}, names(t, c, merged(Always), listCall(""))); diff != "" {
			t.Errorf("served afterwards: %s", diff)
		}
	})
}

func TestAnUpstreamThatComesBackIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := &lister{fail: errors.New("down"), pages: []string{tools("a")}}
		c := newCatalog(t, named{"u", up}, named{"v", listing("x")})
		told := changes(c)
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
	for i := range 3 * maxAudiences {
		call := listCall("")
		call.Client.Capabilities = append(rpc.AppendInt([]byte(`{"elicitation":{"x":`), int64(i)), "}}"...)
		names(t, c, merged(Always), call)
	}
	f := &c.feeds["u"][toolList]
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.slots) > maxAudiences+1 {
		t.Errorf("%d audiences are kept, want at most %d", len(f.slots), maxAudiences)
	}
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
