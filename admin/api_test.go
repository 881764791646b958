package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/admin/live"
)

// shown is a gateway of which a test says what there is to see.
type shown struct {
	calls   int
	looked  atomic.Int64 // how often somebody looked
	failing bool
}

func (g *shown) Overview() Overview {
	g.looked.Add(1)
	return Overview{Version: "v1"}
}
func (*shown) Upstreams() []Upstream { return []Upstream{{Name: "one"}} }
func (g *shown) Calls() []live.Call {
	out := make([]live.Call, g.calls)
	for i := range out {
		out[i].ID = live.FormatID(uint64(i))
	}
	return out
}
func (*shown) Models() []Model           { return nil }
func (*shown) Streams() []live.Call      { return nil }
func (*shown) Recent() []live.Ended      { return nil }
func (*shown) Stop(id uint64) bool       { return id == 7 }
func (*shown) Connections() []Connection { return nil }
func (*shown) Disconnect(id string) bool { return id == "c" }
func (*shown) Sessions() []Session       { return nil }
func (g *shown) EndSession(_ context.Context, id string) (bool, error) {
	if g.failing {
		return true, errors.New("disk full")
	}
	return id == "s", nil
}

func (g *shown) Limits(context.Context) ([]Limit, error) {
	if g.failing {
		return nil, errors.New("no engine")
	}
	return nil, nil
}

func serving(t testing.TB, g Gateway) *Server {
	s := newServer(Config{Loopback: true})
	s = New(t.Context(), Config{Loopback: true}, Deps{Ready: s.Ready, Explain: s.Explain, Gateway: g, Log: s.Log})
	t.Cleanup(s.Close)
	return s
}

func TestListsComeInParts(t *testing.T) {
	t.Parallel()
	s := serving(t, &shown{calls: 2500})
	for query, want := range map[string]struct{ status, items, first int }{
		"":                           {200, 100, 0},
		"?limit=1000&offset=2000":    {200, 500, 2000},
		"?offset=2500":               {200, 0, 0},
		"?offset=1000000":            {200, 0, 0},
		"?limit=1":                   {200, 1, 0},
		"?limit=0":                   {400, 0, 0},
		"?limit=1001":                {400, 0, 0},
		"?limit=-1":                  {400, 0, 0},
		"?limit=1&limit=2":           {400, 0, 0},
		"?offset=-1":                 {400, 0, 0},
		"?offset=99999999999":        {400, 0, 0},
		"?limit=%zz":                 {400, 0, 0},
		"?limit=1;offset=2":          {400, 0, 0},
		"?sort=age":                  {400, 0, 0},
		"?limit=":                    {400, 0, 0},
		"?limit=١":                   {400, 0, 0},
		"?offset=0x10":               {400, 0, 0},
		"?limit=9223372036854775808": {400, 0, 0},
	} {
		got := asked(s, "GET", "/api/v1/calls"+query, "")
		var p Part[live.Call]
		if err := json.Unmarshal(got.Body.Bytes(), &p); err != nil || got.Code != want.status || len(p.Items) != want.items {
			t.Errorf("%s: %d, %d items, %v", query, got.Code, len(p.Items), err)
			continue
		}
		if got.Code == 200 && (p.Total != 2500 || p.Items == nil || len(p.Items) > 0 && p.Items[0].ID != live.FormatID(uint64(want.first))) {
			t.Errorf("%s: %d of %d from %d", query, len(p.Items), p.Total, p.Offset)
		}
	}
}

// FuzzSpan reads what anybody may ask for.
func FuzzSpan(f *testing.F) {
	for _, seed := range []string{"", "limit=5&offset=2", "limit=1&limit=2", "limit=%31", "offset=-0", "x=1", "limit=+5", "%", "a;b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, err := spanOf(query)
		if err == nil && (s.limit < 1 || s.limit > maxPart || s.offset < 0) {
			t.Errorf("%q is %+v", query, s)
		}
		if got := part(make([]int, 10), s); len(got.Items) > 10 || len(got.Items) > max(s.limit, 0) {
			t.Errorf("%d items", len(got.Items))
		}
	})
}

func TestEnding(t *testing.T) {
	t.Parallel()
	s := serving(t, &shown{})
	for path, want := range map[string]int{
		"/api/v1/calls/0000000000000007": 204, "/api/v1/streams/0000000000000007": 204, "/api/v1/calls/0000000000000008": 404,
		"/api/v1/calls/7": 404, "/api/v1/calls/x": 404, "/api/v1/calls/": 404, "/api/v1/calls": 405, "/api/v1/calls/0000000000000007/x": 404,
		"/api/v1/sessions/s": 204, "/api/v1/sessions/t": 404, "/api/v1/connections/c": 204, "/api/v1/connections/d": 404,
		"/api/v1/overview": 405, "/api/v1/upstreams/one": 404,
	} {
		if got := asked(s, "DELETE", path, ""); got.Code != want {
			t.Errorf("%s: %d, want %d", path, got.Code, want)
		}
		// A page that is shown to somebody who may do so cannot.
		if got := asked(s, "DELETE", path, "", "Origin: https://evil.example"); got.Code != 403 {
			t.Errorf("%s for a page: %d", path, got.Code)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		if got := asked(s, method, "/api/v1/calls/0000000000000007", "", "Content-Type: application/json"); got.Code != 405 {
			t.Errorf("%s: %d", method, got.Code)
		}
	}
	failing := serving(t, &shown{failing: true})
	if got := asked(failing, "DELETE", "/api/v1/sessions/s", ""); got.Code != 500 || strings.Contains(got.Body.String(), "disk") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := asked(failing, "GET", "/api/v1/limits", ""); got.Code != 503 || strings.Contains(got.Body.String(), "engine") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// slowly is an answer whose client takes something when it is told to.
type slowly struct {
	*httptest.ResponseRecorder
	take chan struct{}
}

func (s *slowly) Write(p []byte) (int, error) {
	<-s.take
	return s.ResponseRecorder.Write(p)
}
func (s *slowly) Flush()                           {}
func (s *slowly) SetWriteDeadline(time.Time) error { return nil }
func (s *slowly) Unwrap() http.ResponseWriter      { return s.ResponseRecorder }
func watching(ctx context.Context) *http.Request {
	r := httptest.NewRequest("GET", "/api/v1/events", nil).WithContext(ctx)
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
	return r
}

// Nobody looks while nobody watches; however many watch, it is looked once a second. What
// does not change is not told again, and who takes nothing is sent away without holding up the others.
func TestWatching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &shown{}
		s := serving(t, g)
		time.Sleep(time.Minute)
		if n := g.looked.Load(); n != 0 {
			t.Fatalf("it was looked %d times for nobody", n)
		}
		ctx, leave := context.WithCancel(t.Context())
		first, stuck := httptest.NewRecorder(), &slowly{httptest.NewRecorder(), make(chan struct{})}
		ended := make(chan string, 2)
		go func() { s.ServeHTTP(first, watching(ctx)); ended <- "first" }()
		go func() { s.ServeHTTP(stuck, watching(ctx)); ended <- "stuck" }()
		time.Sleep(100*time.Second + time.Millisecond)
		if n := g.looked.Load(); n < 100 || n > 102 {
			t.Errorf("it was looked %d times in 100 seconds", n)
		}
		close(stuck.take)
		if who := <-ended; who != "stuck" {
			t.Errorf("%s was sent away", who)
		}
		leave()
		<-ended
		looked := g.looked.Load()
		time.Sleep(time.Minute)
		if n := g.looked.Load() - looked; n > 0 {
			t.Errorf("it was looked %d times when all had left", n)
		}
		var events []string
		for lines := bufio.NewScanner(first.Body); lines.Scan(); {
			if text := lines.Text(); text != "" {
				events = append(events, text)
			}
		}
		if !strings.HasPrefix(events[0], "event: snapshot") || !strings.Contains(events[1], `"upstreams":{"total":1,`) ||
			!slices.Contains(events, ": hb") || len(events) > 10 || first.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q", events)
		}
	})
}

func TestWatchersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, &shown{})
		var all []chan int
		for range maxWatchers + 1 {
			done := make(chan int, 1)
			all = append(all, done)
			w := httptest.NewRecorder()
			go func() { s.ServeHTTP(w, watching(t.Context())); done <- w.Code }()
			synctest.Wait()
		}
		if code := <-all[maxWatchers]; code != http.StatusServiceUnavailable {
			t.Errorf("one too many: %d", code)
		}
		s.Close()
		for i, done := range all[:maxWatchers] {
			if code := <-done; code != http.StatusOK {
				t.Errorf("watcher %d: %d", i, code)
			}
		}
		late := httptest.NewRecorder()
		if s.ServeHTTP(late, watching(t.Context())); late.Code != http.StatusServiceUnavailable {
			t.Errorf("after the end: %d", late.Code)
		}
	})
}

func ExamplePart() {
	text, _ := json.Marshal(part([]string{"a", "b", "c"}, span{offset: 1, limit: 1}))
	fmt.Println(string(text))
	// Output: {"total":3,"offset":1,"items":["b"]}
}
