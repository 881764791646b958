package fault

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/names"
)

// dns answers all look-ups of this process but those of /etc/hosts.
var dns *names.Server

// lookUpHere has this process ask a server of its own for names, until the function is called.
func lookUpHere() (stop func(), err error) {
	if dns, err = names.Start(); err != nil {
		return nil, err
	}
	net.DefaultResolver = dns.Resolver()
	return dns.Close, nil
}

// home is one of the places that a name leads to.
type home struct {
	addr    netip.Addr
	server  *fake.Server
	reached atomic.Int64
}

// ServeHTTP implements [http.Handler].
func (h *home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		h.reached.Add(1)
	}
	h.server.ServeHTTP(w, r)
}

// startHomes runs servers at two addresses of loopback and one port.
func startHomes(t *testing.T) (homes [2]*home, port string) {
	t.Helper()
	port = "0"
	for i, addr := range []string{"127.0.0.1", "127.0.0.2"} {
		h := &home{addr: netip.MustParseAddr(addr), server: fake.New(fake.Config{Tools: []fake.Tool{
			{Name: "echo", Behaviour: fake.Delayed(fake.UpTo(20*time.Millisecond), fake.Echo)},
		}})}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(addr, port))
		if err != nil {
			t.Fatal(err)
		}
		port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		web := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { _ = web.Serve(l) }()
		t.Cleanup(func() { h.server.Close(); _ = web.Close() })
		homes[i] = h
	}
	return homes, port
}

// TestF18_TheNameOfAnUpstreamLeadsElsewhere moves a name between two addresses under load. No call fails, and the new address is used
// soon, though the connections to the old one would last.
func TestF18_TheNameOfAnUpstreamLeadsElsewhere(t *testing.T) {
	const (
		ttl   = time.Second
		soon  = ttl + 5*time.Second
		width = 6
	)
	rotations := times(2, 30)
	row := &Row{ID: "F18", What: "The name of an upstream (TTL 1 s) leads elsewhere under load: no call fails, and the new address is used within 6 s"}
	enter(t, row)
	homes, port := startHomes(t)
	dns.Set("moving.test", ttl, homes[0].addr)
	g := startGateway(t, fmt.Sprintf("upstreams:\n  moving: {url: \"http://moving.test:%s/mcp\"}\n", port))
	url := "http://" + g.Addr() + "/mcp/moving"

	var calls, failed atomic.Int64
	var all sync.WaitGroup
	over := make(chan struct{})
	for i := range width {
		capabilities := [...]string{"{}", `{"elicitation":{}}`}[i/2%2] // who can be asked has a session upstream for itself
		c := newClient(t, url, i%2 == 0, capabilities)
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				calls.Add(1)
				_, got, err := c.call(t.Context(), "echo", `"arguments":{}`, "", nil)
				if err != nil || len(got) == 0 || got[len(got)-1].Error != nil {
					failed.Add(1)
					t.Logf("%v %v", err, got)
				}
			}
		})
	}
	longest := time.Duration(0)
	for n := range rotations {
		to := homes[(n+1)%2]
		time.Sleep(ttl)
		before, began := to.reached.Load(), time.Now()
		dns.Set("moving.test", ttl, to.addr)
		for to.reached.Load() < before+5 && time.Since(began) < time.Minute {
			time.Sleep(5 * time.Millisecond)
		}
		longest = max(longest, time.Since(began))
	}
	old, began := homes[(rotations-1)%2], time.Now()
	for quiet := old.reached.Load(); ; quiet = old.reached.Load() {
		if time.Sleep(500 * time.Millisecond); quiet == old.reached.Load() {
			break
		}
		if time.Since(began) > time.Minute {
			t.Error("the old address is still asked")
			break
		}
	}
	close(over)
	all.Wait()
	row.Count = fmt.Sprintf("%d rotations; %d calls of clients of both eras, %d at a time", rotations, calls.Load(), width)
	row.Figures = fmt.Sprintf("%d failed; the new address was used after %.1f s at the latest", failed.Load(), longest.Seconds())
	if failed.Load() > 0 || longest > soon && *full {
		t.Error(row.Figures)
	}
}
