package edge_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

func everywhere(string) bool { return true }

func changed(kind string) *rpc.Message {
	return rpc.NewNotification("notifications/"+kind+"/list_changed", nil)
}

// listen opens a session's GET stream, and reads the event that primes it.
func (g *gate) listen(header ...string) (*frame.SSEReader, func()) {
	g.tb.Helper()
	stream, end := g.stand(header...)
	if ev, err := stream.Next(); err != nil || ev.ID == "" || len(ev.Data) > 0 || ev.Retry <= 0 {
		g.tb.Fatalf("priming event %+v, %v", ev, err)
	}
	return stream, end
}

// stand opens a session's GET stream.
func (g *gate) stand(header ...string) (*frame.SSEReader, func()) {
	g.tb.Helper()
	resp := g.send(g.tb.Context(), "GET", "", header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		g.tb.Fatalf("GET: %d %v", resp.StatusCode, resp.Header)
	}
	return frame.NewSSEReader(resp.Body, 1<<20), func() { _ = resp.Body.Close() }
}

func TestBroadcastsGoOnOneStreamOfEachSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true})
		one, two, elsewhere := g.session(), g.session(), g.session("Path", "/mcp/one")
		oldest, end := g.listen(one...)
		defer end()
		newest, endNewest := g.listen(one...)
		other, end := g.listen(two...)
		defer end()
		apart, end := g.listen(elsewhere...)
		defer end()

		g.sessions.Broadcast(func(endpoint string) bool { return endpoint == "/mcp" }, changed("tools"))
		g.sessions.Broadcast(everywhere, changed("prompts"))
		want := []string{"notifications/tools/list_changed", "notifications/prompts/list_changed"}
		for name, stream := range map[string]*frame.SSEReader{"newest": newest, "other": other} {
			if got := []string{method(t, stream), method(t, stream)}; !slices.Equal(got, want) {
				t.Errorf("%s got %s, want %s", name, got, want)
			}
		}
		if got := method(t, apart); got != want[1] {
			t.Errorf("another endpoint got %s", got)
		}
		endNewest()
		synctest.Wait() // its end is noticed
		g.sessions.Broadcast(everywhere, changed("resources"))
		if got := method(t, oldest); got != "notifications/resources/list_changed" {
			t.Errorf("the next newest got %s", got)
		}
	})
}

func method(t *testing.T, stream *frame.SSEReader) string {
	t.Helper()
	ev, err := stream.Next()
	if err != nil {
		t.Fatal(err)
	}
	m, err := rpc.Parse(slices.Clone(ev.Data), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Method
}

func TestStreamsEndWhenTheGatewayDoes(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session()
	stream, end := g.listen(bearer...)
	defer end()
	g.sessions.EndStreams()
	if ev, err := stream.Next(); err == nil {
		t.Errorf("event %q", ev.Data)
	}
	if a := g.do("GET", "", bearer...); a.status != http.StatusServiceUnavailable {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
	if a := g.do("POST", request("7", "x/y"), bearer...); a.status != http.StatusOK {
		t.Errorf("POST: %d %s", a.status, a.body)
	}
}

func TestTheOldestOfTooManyStreamsEnds(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session()
	first, end := g.listen(bearer...)
	defer end()
	for range 4 {
		_, end := g.listen(bearer...)
		defer end()
	}
	if ev, err := first.Next(); err == nil {
		t.Errorf("event %q", ev.Data)
	}
}

// A session of somebody else cannot be told from one that never was.
func TestCorner5_35_ForeignSessionsLookUnknown(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	bearer := g.session("X-User", "alice")
	foreign := append(append([]string{}, bearer[:4]...), "X-User", "bob")
	unknown := append([]string{"Mcp-Session-Id", bearer[1] + "x"}, foreign[2:]...)
	for verb, body := range map[string]string{
		"POST": request("7", "x/y"), "GET": "", "DELETE": "",
	} {
		got, want := g.do(verb, body, foreign...), g.do(verb, body, unknown...)
		for _, a := range []*answer{&got, &want} {
			a.header.Del("Date")
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" || got.status != 404 {
			t.Errorf("%s: status %d (-unknown +foreign):\n%s", verb, got.status, diff)
		}
	}
	if a := g.do("POST", request("7", "x/y"), bearer...); a.status != 200 {
		t.Errorf("the owner: %d %s", a.status, a.body)
	}
}

// Whatever byte of an id changes, it opens nothing and breaks nothing.
func TestEveryByteOfASessionIDCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true})
		id := g.session()[1]
		for i := range len(id) {
			changed := []byte(id)
			changed[i] ^= 1
			if strings.ContainsRune(` "`, rune(changed[i])) {
				changed[i] = '~'
			}
			if a := g.do("POST", request("7", "x/y"), "Mcp-Session-Id", string(changed)); a.status != 404 {
				t.Errorf("byte %d: %d %s", i, a.status, a.body)
			}
		}
		for _, id := range []string{id[1:], id[:len(id)-1], id + "A", id + "=", id + id, "A", strings.Repeat("A", 20_000)} {
			if a := g.do("POST", request("7", "x/y"), "Mcp-Session-Id", id); a.status != 404 {
				t.Errorf("%.50s: %d %s", id, a.status, a.body)
			}
		}
	})
}
