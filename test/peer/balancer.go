package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Balanced is the path at which a balancer answers 200 when it knows all its servers to be ready.
const Balanced = "/balanced"

// Backend is a server behind a balancer.
type Backend struct {
	Address string // where it serves
	Health  string // where it answers GET /readyz
}

// ServeBalancer starts HAProxy in front of several servers, with files in home, a folder of the caller's. It sends no requests to a server that
// says it is not ready, which it asks ten times a second, and repeats none. The rest is as for Serve.
func (s *Set) ServeBalancer(ctx context.Context, home string, servers []Backend) (*Process, error) {
	file := filepath.Join(home, "balancer.conf")
	var unwritten error
	p, err := Launch(ctx, func(addr string) Launched {
		lines := []string{
			"global", " nbthread 1",
			"defaults", " mode http", " timeout connect 5s", " timeout client 60s", " timeout server 60s", " retries 0",
			"frontend front", " bind " + addr, " default_backend back",
			" monitor-uri " + Balanced, fmt.Sprintf(" monitor fail if { nbsrv(back) lt %d }", len(servers)),
			"backend back", " balance roundrobin", " option httpchk", " http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host 127.0.0.1",
			" http-check expect status 200",
		}
		for i, b := range servers {
			_, port, _ := strings.Cut(b.Health, ":")
			lines = append(lines, fmt.Sprintf(" server s%d %s check port %s inter 100ms fall 1 rise 1", i, b.Address, port))
		}
		unwritten = os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
		return Launched{URL: "http://" + addr, Argv: []string{s.debian(Proxies, HAProxy), "-f", file}, Env: s.libraries(Proxies)}
	})
	return p, errors.Join(unwritten, err)
}

// ServeBalancer starts HAProxy in front of several servers and stops it when the test ends.
func ServeBalancer(t testing.TB, servers []Backend) *Process {
	t.Helper()
	p, err := Installed(t).ServeBalancer(t.Context(), t.TempDir(), servers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}
