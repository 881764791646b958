package fault

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
)

// ailment is what a sick server does with calls.
type ailment int32

const (
	none   ailment = iota
	down           // closes connections
	broken         // answers three of ten with HTTP status 500
	slow           // takes fifty times as long
	mute           // accepts and never answers
)

func (a ailment) String() string {
	return [...]string{"well", "down", "500s at 30 %", "latency × 50", "mute"}[a]
}

// healthy is how long a server takes that is well.
const healthy = 2 * time.Millisecond

// sick is a server that behaves as it is told.
type sick struct {
	url     string
	server  *fake.Server
	has     atomic.Int32
	reached atomic.Int64 // calls of tools that it has seen
	others  atomic.Int64 // and all else, such as lists that the gateway fetches

	mu     sync.Mutex
	chance *rand.Rand
}

func newSick(t *testing.T, seed uint64) *sick {
	t.Helper()
	s := &sick{chance: rand.New(rand.NewPCG(seed, seed)), server: fake.New(fake.Config{Eras: fake.Modern})}
	web := httptest.NewServer(s)
	s.url = web.URL
	t.Cleanup(func() { s.server.Close(); web.CloseClientConnections(); web.Close() })
	return s
}

func (s *sick) set(a ailment) { s.has.Store(int32(a)) }

// ServeHTTP implements [http.Handler].
func (s *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Mcp-Method") != "tools/call" {
		s.others.Add(1)
		s.server.ServeHTTP(w, r)
		return
	}
	s.reached.Add(1)
	switch ailment(s.has.Load()) {
	case down:
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
		return
	case broken:
		if s.unlucky() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	case slow:
		time.Sleep(49 * healthy)
	case mute:
		_, _ = io.Copy(io.Discard, r.Body) // else net/http does not see that the client has gone
		<-r.Context().Done()
		return
	case none:
	}
	time.Sleep(healthy)
	s.server.ServeHTTP(w, r)
}

func (s *sick) unlucky() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chance.Float64() < 0.3
}

// TestF19_ABreakerIsItsModel makes one call after another on a server that is well and ill by turns, and compares which calls reach it
// with a plain model of a breaker. Only around the moment at which the breaker's time is over either is right.
func TestF19_ABreakerIsItsModel(t *testing.T) {
	const (
		failures = 3
		openFor  = 300 * time.Millisecond
		blur     = 80 * time.Millisecond // of the moments as they are seen here and there
	)
	calls := times(200, 3000)
	row := &Row{
		ID: "F19", What: "An upstream that is well and ill by turns: its breaker lets through what a model of it does",
		Count: fmt.Sprintf("%d calls; closing connections, 500s at 30 %%, latency × 50, never answering", calls),
	}
	enter(t, row)
	s := newSick(t, 19)
	g := startGateway(t, fmt.Sprintf("upstreams:\n  flap: {url: %q, era: modern, timeout: 200ms, breaker: {failures: %d, open_for: %s}}\n", s.url, failures, openFor))
	c := newClient(t, "http://"+g.Addr()+"/mcp/flap", true, "{}")
	chance := rand.New(rand.NewPCG(1, 9))
	var (
		inRow, opened, refused, blurred int
		open, trial                     bool
		since                           time.Time
	)
	asked := int64(-1)
	for n := range calls {
		if others := s.others.Load(); others != asked { // what the gateway asked for itself counts too: begin anew
			s.set(none)
			time.Sleep(openFor + blur)
			if _, all, err := c.call(t.Context(), "echo", "", "", nil); err != nil || all[len(all)-1].Error != nil {
				t.Fatalf("a call of a server that is well: %v %v", all, err)
			}
			asked, open, inRow, since = others, false, 0, time.Time{}
			s.set(ailment(chance.IntN(5)))
		}
		if n%25 == 0 {
			s.set(ailment(chance.IntN(5)))
		}
		before, began := s.reached.Load(), time.Now()
		if trial = open && began.Sub(since) > openFor; trial {
			open = false
		}
		_, all, err := c.call(t.Context(), "echo", "", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		failed := len(all) == 0 || all[len(all)-1].Error != nil
		if s.others.Load() != asked {
			continue
		}
		passed := s.reached.Load() - before
		if near := began.Sub(since) - openFor; passed == 1 == open && !since.IsZero() && near.Abs() < blur {
			blurred++
			open, trial = passed == 0, passed == 1
		}
		switch {
		case passed > 1:
			t.Fatalf("call %d was made %d times", n, passed)
		case passed == 1 && open:
			t.Fatalf("call %d was let through %v after the breaker had opened", n, began.Sub(since))
		case passed == 0 && !open:
			t.Fatalf("call %d was not let through, though %d had failed in a row; it is %v since the breaker opened: %v", n, inRow, began.Sub(since), all)
		case passed == 0:
			refused++
			time.Sleep(10 * time.Millisecond)
		case !failed:
			inRow = 0
		default:
			if inRow++; trial || inRow >= failures {
				open, since, inRow = true, time.Now(), 0
				opened++
			}
		}
	}
	row.Figures = fmt.Sprintf("opened %d times, %d calls refused at once, %d at the edge of the time", opened, refused, blurred)
	if opened == 0 || refused == 0 || blurred > calls/20 {
		t.Error(row.Figures)
	}
}

// TestF19_OneOfThreeServersIsSick offers calls to three servers of which one is well and ill by turns. It must cost few
// calls, and no server may be asked more often than clients ask.
func TestF19_OneOfThreeServersIsSick(t *testing.T) {
	const width = 8
	per := times(300, 6000)
	up := time.Duration(times(200, 1000)) * time.Millisecond
	row := &Row{
		ID: "F19", What: "One of three servers flaps (1 s up, 1 s down), answers 500s, is slow or mute: load is amplified by 1.1 at most",
		Count: fmt.Sprintf("%d calls for each of 4 ailments, %d at a time", per, width),
	}
	enter(t, row)
	var figures []string
	for i, a := range []ailment{down, broken, slow, mute} {
		servers := []*sick{newSick(t, uint64(i)), newSick(t, 2), newSick(t, 3)}
		yaml := fmt.Sprintf("upstreams:\n  flap:\n    backends: [{url: %q}, {url: %q}, {url: %q}]\n    era: modern\n    timeout: 300ms\n    breaker: {failures: 5, open_for: 500ms}\n",
			servers[0].url, servers[1].url, servers[2].url)
		g := startGateway(t, yaml)
		stop := flap(t.Context(), servers[0], a, up)
		failed := offerFlapping(t, g.Addr(), per, width)
		stop()
		attempts := servers[0].reached.Load() + servers[1].reached.Load() + servers[2].reached.Load()
		load := float64(attempts) / float64(per)
		figures = append(figures, fmt.Sprintf("%s: %d failed, load × %.3f, %.0f %% at the sick one", a, failed, load, 100*float64(servers[0].reached.Load())/float64(attempts)))
		if load > 1.1 {
			t.Errorf("%s: %d calls became %d", a, per, attempts)
		}
		if failed > per*15/100 { // 30 % of the third that the sick one gets, and some
			t.Errorf("%s: %d of %d calls failed", a, failed, per)
		}
		if failed := offerFlapping(t, g.Addr(), 50, width); failed > 5 {
			t.Errorf("%s: %d of 50 calls failed afterwards", a, failed)
		}
	}
	row.Figures = strings.Join(figures, "; ")
}

// flap makes a server ill and well by turns, until the function is called.
func flap(ctx context.Context, s *sick, a ailment, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.set(a)
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for ill := true; ; {
			select {
			case <-ctx.Done():
				s.set(none)
				return
			case <-ticker.C:
			}
			if ill = !ill || a != down; ill { // what closes connections does so by turns
				s.set(a)
			} else {
				s.set(none)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// offerFlapping makes calls and returns how many failed.
func offerFlapping(t *testing.T, addr string, calls, width int) (failed int) {
	t.Helper()
	c := newClient(t, "http://"+addr+"/mcp/flap", true, "{}")
	var next, bad atomic.Int64
	var all sync.WaitGroup
	for range width {
		all.Go(func() {
			for int(next.Add(1)) <= calls {
				_, got, err := c.call(t.Context(), "echo", "", "", nil)
				if err != nil || len(got) == 0 || got[len(got)-1].Error != nil {
					bad.Add(1)
				}
			}
		})
	}
	all.Wait()
	return int(bad.Load())
}
