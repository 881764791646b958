package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
	"github.com/headgate/headgate/test/peer"
)

// heard is one request as the gateway understood it.
type heard struct {
	Method, URI, Host, Fields, Body string
	Refused                         bool // with 400
}

// ear is an edge that remembers which requests it understood.
type ear struct {
	addr string

	mu    sync.Mutex
	items map[string][]heard // by the number in the URI
}

// listen serves an edge.
func listen(t *testing.T) *ear {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	sessions := session.New(session.Config{}, keys, log)
	gate := edge.New(edge.Config{}, edge.Deps{
		Handler: rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"protocolVersion":"2025-11-25"}`))), nil
		}),
		Sessions: sessions, Endpoints: func(path string) bool { return path == "/mcp" }, Log: log,
	})
	e := &ear{items: map[string][]heard{}}
	server := edge.Plain(t.Context(), e.remember(gate), log)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		_ = sessions.Close(context.WithoutCancel(t.Context()))
	})
	return e
}

var itemOf = regexp.MustCompile(`item=(\d+)`)

func (e *ear) remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := heard{Method: r.Method, URI: r.RequestURI, Host: r.Host}
		for _, name := range []string{"Authorization", "Content-Type", "Mcp-Method", "Mcp-Session-Id", "Origin"} {
			if v, ok := r.Header[name]; ok {
				h.Fields += fmt.Sprintf("%s=%q ", name, v)
			}
		}
		var body bytes.Buffer
		r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
		s := &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(s, r)
		h.Body, h.Refused = body.String(), s.code == http.StatusBadRequest
		item := ""
		if m := itemOf.FindStringSubmatch(r.RequestURI); m != nil {
			item = m[1]
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.items[item] = append(e.items[item], h)
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// exchange sends bytes, closes its side, and reads what is answered. It reports
// whether something was refused.
func exchange(t *testing.T, addr, text string) (refused bool) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, text) // it may have been refused before its end
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn) // which may end in a reset
	return refusal.Match(answer) || len(answer) == 0
}

var refusal = regexp.MustCompile(`HTTP/1\.[01] (400|408|411|413|414|417|431|50[0-5]) `)

// A request that readers could understand in different ways is refused by one of them,
// or understood by all in the same way: by the gateway alone, by a proxy, and by the
// gateway behind it.
func TestT11_ProxiesAndTheGatewayHearTheSame(t *testing.T) {
	t.Parallel()
	corpus := desyncs()
	if len(corpus) < 200 {
		t.Errorf("%d requests are too few", len(corpus))
	}
	alone := listen(t)
	refused := make([]bool, len(corpus))
	for i, c := range corpus {
		refused[i] = exchange(t, alone.addr, c.render(i))
	}
	served := 0
	for _, r := range refused {
		if !r {
			served++
		}
	}
	if served < len(corpus)/6 || served > len(corpus)*5/6 {
		t.Errorf("%d of %d are served: the corpus shows too little", served, len(corpus))
	}
	for _, name := range []string{peer.Nginx, peer.HAProxy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := listen(t)
			p, file := peer.ServeProxy(t, name, behind.addr)
			for i, c := range corpus {
				exchange(t, strings.TrimPrefix(p.URL, "http://"), c.render(i))
			}
			p.Stop() // its log is complete
			forwarded := forwardings(t, file)
			for i, c := range corpus {
				key := strconv.Itoa(i)
				compare(t, c.name, alone.items[key], behind.items[key], refused[i])
				if diff := cmp.Diff(forwarded[key], lines(behind.items[key])); diff != "" {
					t.Errorf("%s: it forwarded (-) what the gateway heard otherwise (+):\n%s", c.name, diff)
				}
			}
			if diff := cmp.Diff([]heard(nil), behind.items[""]); diff != "" {
				t.Errorf("requests that nobody sent:\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff([]heard(nil), alone.items[""]); diff != "" {
		t.Errorf("requests that nobody sent:\n%s", diff)
	}
}

// compare holds what the gateway hears behind a proxy to what it hears alone. The proxy
// may refuse more, and end the connection with what follows unheard.
func compare(t *testing.T, name string, alone, behind []heard, refused bool) {
	t.Helper()
	if len(behind) > len(alone) && !refused {
		t.Errorf("%s: %d requests are heard alone, and %d behind the proxy", name, len(alone), len(behind))
	}
	for i := range min(len(alone), len(behind)) {
		if alone[i].Refused || behind[i].Refused {
			continue
		}
		if diff := cmp.Diff(alone[i], behind[i]); diff != "" {
			t.Errorf("%s: request %d: heard alone (-) and behind the proxy (+):\n%s", name, i, diff)
		}
	}
}

// lines are requests as a proxy's log has them.
func lines(requests []heard) (out []string) {
	for _, h := range requests {
		if !h.Refused {
			out = append(out, h.Method+" "+h.URI)
		}
	}
	slices.Sort(out)
	return out
}

// forwardings reads from a proxy's log which requests it forwarded and the gateway did
// not refuse.
func forwardings(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		parts := strings.Fields(line)
		if len(parts) < 3 {
			continue
		}
		outcome := parts[len(parts)-1]
		if outcome == "-" || strings.HasPrefix(outcome, "<NOSRV>") || refusedStatus.MatchString(outcome) {
			continue
		}
		m := itemOf.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("forwarded what nobody sent: %s", line)
			continue
		}
		out[m[1]] = append(out[m[1]], strings.Join(parts[:len(parts)-1], " "))
	}
	for _, requests := range out {
		slices.Sort(requests)
	}
	return out
}

// refusedStatus is what a proxy logs of a request that the gateway, or the server around
// it, refused as one it cannot read, or that the client did not send to its end.
var refusedStatus = regexp.MustCompile(`(^|/)(-1|400|413|417|431|50[0-5])$`)
