package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// oracle is a server that is asked about tokens.
type oracle struct {
	*httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	tokens map[string]map[string]any
	wait   chan struct{} // closed: answers at once
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	o := &oracle{tokens: map[string]map[string]any{}, wait: make(chan struct{})}
	close(o.wait)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		o.mu.Lock()
		wait, answer := o.wait, o.tokens[r.PostFormValue("token")]
		o.mu.Unlock()
		<-wait
		if id, secret, ok := r.BasicAuth(); !ok || r.Method != http.MethodPost || id != "gate%2Fway" || secret != "s%3Acret" || r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if answer == nil {
			answer = map[string]any{"active": false}
		}
		answerJSON(w, answer)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *oracle) knows(token string, answer map[string]any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens[token] = answer
}

// asking makes a gate that asks these.
func asking(t testing.TB, cache time.Duration, oracles ...*oracle) *Gate {
	t.Helper()
	cfg := &config.Auth{Resource: "https://gateway.example.com"}
	for _, o := range oracles {
		cfg.Introspection = append(cfg.Introspection, config.Introspection{
			URL: o.URL, ClientID: "gate/way", ClientSecret: "s:cret", Cache: cache, Claims: config.Claims{Org: "org", User: "sub", Scopes: "scope"}, AllowPrivate: true,
		})
	}
	return newGate(t, cfg)
}

func active(changes ...any) map[string]any {
	out := map[string]any{
		"active": true, "sub": "alice", "org": "acme", "scope": "mcp:* infer:*", "aud": "https://gateway.example.com/mcp", "iss": "https://idp.example.com",
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if out[name] = changes[i+1]; changes[i+1] == nil {
			delete(out, name)
		}
	}
	return out
}

func TestIntrospectedTokens(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	o.knows("good", active("exp", ends.Unix()))
	o.knows("endless", active("exp", nil))
	for name, answer := range map[string]map[string]any{
		"inactive": {"active": false}, "said-in-words": active("active", "true"), "elsewhere": active("aud", "https://other.example.com"),
		"for-nobody": active("aud", nil), "expired": active("exp", time.Now().Unix()-1), "early": active("nbf", time.Now().Unix()+120),
		"odd-end": active("exp", "tomorrow"), "nobody": active("sub", nil), "no-org": active("org", nil), "odd-user": active("sub", "a\u202eb"),
	} {
		o.knows(name, answer)
	}
	g := asking(t, 30*time.Second, o)
	want := rpc.Principal{Org: "acme", Key: "https://idp.example.com", User: "alice", Scopes: []string{"mcp:*", "infer:*"}, Expires: ends}
	for range 3 {
		if diff := cmp.Diff(want, accepted(t, g, bearing("good"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	accepted(t, g, bearing("endless"))
	if n := o.asked.Load(); n != 2 {
		t.Errorf("asked %d times about two tokens", n)
	}
	for name := range o.tokens {
		if name == "good" || name == "endless" {
			continue
		}
		for range 2 {
			refusedWith(t, asking(t, 0, o), bearing(name), rpc.Unauthenticated)
		}
	}
	before := o.asked.Load()
	revoked, _ := NewKey()
	refusedWith(t, g, bearing(revoked), rpc.Unauthenticated) // API keys are told to nobody
	for range 3 {
		refusedWith(t, g, bearing("inactive"), rpc.Unauthenticated)
	}
	if n := o.asked.Load() - before; n != 1 {
		t.Errorf("asked %d times about a bad token", n)
	}
}

func TestIntrospectionIsAskedOnceForAllThatWait(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	o.knows("good", active())
	gate := make(chan struct{})
	o.mu.Lock()
	o.wait = gate
	o.mu.Unlock()
	g := asking(t, 30*time.Second, o)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { accepted(t, g, bearing("good")) })
	}
	for o.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	all.Wait()
	if n := o.asked.Load(); n > 2 { // one, and another one that came when the first had been answered
		t.Errorf("asked %d times", n)
	}
}

func TestIntrospectionFailsClosed(t *testing.T) {
	t.Parallel()
	first, second := newOracle(t), newOracle(t)
	second.knows("theirs", active("iss", nil))
	g := asking(t, 30*time.Second, first, second)
	if got := accepted(t, g, bearing("theirs")); got.Key != second.URL {
		t.Errorf("principal %+v", got)
	}
	second.knows("later", active())
	second.Close()
	for range 2 {
		e := refusedWith(t, g, bearing("later"), rpc.AuthDown)
		if strings.Contains(e.Message, second.URL) || e.RetryAfter == 0 {
			t.Errorf("the client is told %q, retry after %v", e.Message, e.RetryAfter)
		}
	}
	accepted(t, g, bearing("theirs"))
}
