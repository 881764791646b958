package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// canary is a server that nobody should reach.
type canary struct {
	*httptest.Server
	hits atomic.Int64 // connections
}

func newCanary(t testing.TB) *canary {
	t.Helper()
	c := &canary{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, map[string]any{}) }))
	c.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			c.hits.Add(1)
		}
	}
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func portOf(s *httptest.Server) string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// nameServer is a DNS server that gives each name its addresses in turn, one an answer.
type nameServer struct {
	mu    sync.Mutex
	turns map[string][]string
}

// resolver asks the server, over UDP on loopback.
func (n *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 512)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buf[:size]), from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-served
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer makes a response of a query with one question (RFC 1035 §4.1).
func (n *nameServer) answer(query []byte) []byte {
	var labels []string
	at := 12
	for query[at] != 0 {
		size := int(query[at])
		labels = append(labels, string(query[at+1:at+1+size]))
		at += 1 + size
	}
	question := query[12 : at+5]
	isA := query[at+2] == 1
	out := append([]byte{}, query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	out = append(out, question...)
	n.mu.Lock()
	defer n.mu.Unlock()
	name := strings.ToLower(strings.Join(labels, "."))
	if turn := n.turns[name]; isA && len(turn) > 0 {
		n.turns[name] = append(turn[1:], turn[0])
		a := netip.MustParseAddr(turn[0]).As4()
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, a[:]...)
	}
	return out
}

var errPublic = errors.New("this address would be connected to")

// T9: what a document, a redirect or a name leads to is not fetched from the network
// that the gateway is in.
func TestT9_PrivateAddressesAreNotFetchedFrom(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	port := portOf(c.Server)
	names := &nameServer{turns: map[string][]string{
		"loopback.example.com": {"127.0.0.1"}, "metadata.example.com": {"169.254.169.254"}, "rebinding.example.com": {"1.1.1.1", "127.0.0.1"},
		"zero.example.com": {"0.0.0.0"}, "private.example.com": {"10.0.0.1"}, "public.example.com": {"1.1.1.1"},
	}}
	// Nothing leaves this machine: what may be connected to is noted instead.
	var allowed sync.Map
	guarded := &net.Dialer{Timeout: time.Second, Resolver: names.resolver(t), ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
		if err := checkAddress(ctx, network, address, raw); err != nil {
			return err
		}
		allowed.Store(address, true)
		return errPublic
	}}
	f, err := fetcherOver(guarded, "https://idp.example.com", false)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{
		"127.0.0.1", "127.1", "127.0.0.2", "localhost", "localhost.", "LOCALHOST", "0.0.0.0", "0", "2130706433", "0x7f000001", "0x7f.0.0.1",
		"017700000001", "0177.0.0.1", "127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]",
		"[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[fc00::1]", "[fd12:3456::1]",
		"[fec0::1]", "[ff02::1]", "169.254.169.254", "[::ffff:169.254.169.254]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",
		"198.18.0.1", "192.0.0.192", "224.0.0.1", "255.255.255.255", "loopback.example.com", "loopback.example.com.", "metadata.example.com",
		"zero.example.com", "private.example.com", "127。0。0。1", "user@127.0.0.1", "public.example.com@127.0.0.1",
	}
	for _, host := range hosts {
		for _, scheme := range []string{"https://", "http://"} {
			var into any
			if err := f.get(t.Context(), scheme+host+":"+port+"/jwks", &into); err == nil || errors.Is(err, errPublic) {
				t.Errorf("%s%s: %v", scheme, host, err)
			}
		}
	}
	for _, address := range []string{"ftp://public.example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/", "https:///x"} {
		var into any
		if err := f.get(t.Context(), address, &into); err == nil {
			t.Errorf("%s was fetched", address)
		}
	}
	allowed.Range(func(address, _ any) bool { t.Errorf("%v would have been connected to", address); return true })

	// A name that changes its meaning between a check and the connection does not help.
	for range 4 {
		var into any
		_ = f.get(t.Context(), "https://rebinding.example.com:"+port+"/", &into)
	}
	var into any
	if err := f.get(t.Context(), "https://public.example.com/", &into); !errors.Is(err, errPublic) {
		t.Errorf("a public address: %v", err)
	}
	if n := c.hits.Load(); n != 0 {
		t.Errorf("the canary was connected to %d times", n)
	}
	if len(hosts) < 40 {
		t.Errorf("%d hosts", len(hosts))
	}
}

// An operator's own provider may be private. What it redirects to may not, be it the
// provider itself, and credentials are redirected nowhere.
func TestT9_RedirectsDoNotLeadToPrivateAddresses(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	var to atomic.Pointer[string]
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/document" {
			answerJSON(w, map[string]string{"issuer": "me"})
			return
		}
		http.Redirect(w, r, *to.Load(), http.StatusTemporaryRedirect)
	}))
	defer provider.Close()
	f, err := newFetcher(provider.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	var doc map[string]string
	if err := f.get(t.Context(), provider.URL+"/document", &doc); err != nil || doc["issuer"] != "me" {
		t.Errorf("the provider itself: %v, %v", doc, err)
	}
	for _, target := range []string{
		c.URL, strings.Replace(c.URL, "127.0.0.1", "localhost", 1), "https://127.0.0.1:" + portOf(c.Server), provider.URL + "/document",
		strings.Replace(provider.URL, "127.0.0.1", "localhost", 1) + "/document", "http://example.com/", "https://user:password@example.com/",
		"file:///etc/passwd",
	} {
		to.Store(&target)
		if err := f.get(t.Context(), provider.URL+"/away", &doc); err == nil {
			t.Errorf("redirected to %s", target)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, provider.URL+"/away", strings.NewReader("token=secret"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.do(req, &doc); err == nil {
			t.Errorf("credentials redirected to %s", target)
		}
	}
	if err := f.get(t.Context(), c.URL, &doc); err == nil {
		t.Error("another private address was fetched from")
	}
	if n := c.hits.Load(); n != 0 {
		t.Errorf("the canary was connected to %d times", n)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `{}`)
		case "/large":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"a":"%s"}`, strings.Repeat("a", maxAnswer))
		case "/set":
			w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
			fmt.Fprint(w, `{}`)
		case "/compressed":
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("Accept-Encoding: %s", r.Header.Get("Accept-Encoding"))
			}
			answerJSON(w, 1)
		case "/list":
			answerJSON(w, []int{1})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer provider.Close()
	f, err := newFetcher(provider.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for path, good := range map[string]bool{"/set": true, "/html": false, "/large": false, "/missing": false, "/list": false, "/compressed": false} {
		var doc map[string]any
		if err := f.get(t.Context(), provider.URL+path, &doc); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}
