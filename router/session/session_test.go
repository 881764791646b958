package session

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keyring(tb testing.TB) *seal.Keyring {
	tb.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func registry(tb testing.TB, cfg Config, keys Sealer) *Registry {
	tb.Helper()
	r := New(cfg, keys, slog.New(slog.DiscardHandler))
	tb.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return r
}

var (
	alice  = rpc.Principal{Org: "acme", Team: "tools", Key: "dev", User: "alice"}
	client = rpc.Client{
		Era: rpc.Legacy, Revision: "2025-06-18",
		Info: []byte(`{"name":"t", "version":1.0}`), Capabilities: []byte(`{"roots":{}}`),
	}
)

func opened(tb testing.TB, r *Registry, c rpc.Client) string {
	tb.Helper()
	id, err := r.Open(tb.Context(), c, alice, "/mcp", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func resumed(tb testing.TB, r *Registry, id string) *Session {
	tb.Helper()
	s, err := r.Resume(id, "/mcp")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// call is a call of a session's owner.
func call(s *Session, row *rpc.Method, m *rpc.Message) *rpc.Call {
	return &rpc.Call{Client: s.Client(), Principal: alice, Method: row, Message: m}
}

func handle(tb testing.TB, r *Registry, c *rpc.Call) *rpc.Reply {
	tb.Helper()
	reply, err := r.Handle(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}

func isUnknown(err error) bool { return err != nil && rpc.AsError(err).Code == rpc.SessionUnknown }

func TestIDCarriesTheSession(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	long := client
	long.Capabilities = []byte(`{"experimental":{"x":"` + strings.Repeat("x", 20_000) + `"}}`)
	bare := rpc.Client{Era: rpc.Legacy, Revision: mcp.LatestLegacy}
	for name, want := range map[string]rpc.Client{"usual": client, "long": long, "says nothing": bare} {
		id := opened(t, r, want)
		if len(id) > maxHandle {
			t.Errorf("%s: id of %d bytes", name, len(id))
		}
		if i := strings.IndexFunc(id, func(c rune) bool { return c < 0x21 || c > 0x7e }); i >= 0 {
			t.Errorf("%s: id %q has no visible ASCII at %d", name, id, i)
		}
		s := resumed(t, r, id)
		got := s.Client()
		if got.Session == "" || strings.Contains(id, got.Session) {
			t.Errorf("%s: key %q", name, got.Session)
		}
		got.Session = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if again := resumed(t, r, id); again != s {
			t.Errorf("%s: another session", name)
		}
	}
	if one, two := opened(t, r, client), opened(t, r, client); one == two || resumed(t, r, one).Client().Session == resumed(t, r, two).Client().Session {
		t.Error("two sessions are one")
	}
}

func TestClientsThatSayTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	c := client
	c.Info = []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
	if _, err := r.Open(t.Context(), c, alice, "/mcp", nil); err == nil || rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("error = %v", err)
	}
}

// The shelf is bounded: what was not used for longest goes, and only that.
func TestShelfIsBounded(t *testing.T) {
	t.Parallel()
	var s shelf
	c := make([]byte, 60_000)
	const n = shelfSize/60_000 + 100
	for i := range n {
		s.put(fmt.Sprint(i), c)
		if s.get("0") == nil {
			t.Fatal("what is used goes first")
		}
	}
	if s.size > shelfSize || len(s.entries) != s.recent.Len() || len(s.entries) < n-110 {
		t.Errorf("%d entries of %d bytes", len(s.entries), s.size)
	}
	if s.get("1") != nil {
		t.Error("nothing went")
	}
	for i := range n {
		s.drop(fmt.Sprint(i))
	}
	if s.size != 0 || s.recent.Len() != 0 {
		t.Errorf("%d bytes, %d entries are left", s.size, s.recent.Len())
	}
}

func TestSessionsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	keys := keyring(t)
	id := opened(t, registry(t, Config{}, keys), client)
	s := resumed(t, registry(t, Config{}, keys), id)
	if string(s.Client().Capabilities) != string(client.Capabilities) {
		t.Errorf("client = %+v", s.Client())
	}
	if _, err := registry(t, Config{}, keyring(t)).Resume(id, "/mcp"); !isUnknown(err) {
		t.Errorf("with other keys: %v", err)
	}
}

// Ids that lead nowhere cannot be told apart.
func TestUnknownIDsHaveOneError(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	id := opened(t, r, client)
	s := resumed(t, r, id)
	want := errUnknown().Error()
	for i := range len(id) {
		changed := []byte(id)
		changed[i] ^= 4
		if _, err := r.Resume(string(changed), "/mcp"); err == nil || err.Error() != want {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	foreign := call(s, mcp.EdgeMethod(mcp.SessionEnd), nil)
	for name, p := range map[string]rpc.Principal{
		"anonymous": {}, "another user": {Org: "acme", Team: "tools", Key: "dev", User: "bob"},
		"another organisation": {Org: "other", Team: "tools", Key: "dev", User: "alice"},
		"the same letters":     {Org: "acmetools", Key: "dev", User: "alice"},
	} {
		foreign.Principal = p
		if _, err := r.Handle(t.Context(), foreign); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		guarded := r.Guard(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			t.Errorf("%s: the call passed", name)
			return rpc.Respond(nil), nil
		}))
		if _, err := guarded.Handle(t.Context(), foreign); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Resume(id, "/mcp/other"); err == nil || err.Error() != want {
		t.Errorf("another endpoint: %v", err)
	}
	renewed := alice
	renewed.Scopes, renewed.Expires = []string{"more"}, time.Now()
	own := call(s, mcp.EdgeMethod(mcp.SessionEnd), nil)
	own.Principal = renewed
	handle(t, r, own)
	if _, err := r.Resume(id, "/mcp"); err == nil || err.Error() != want {
		t.Errorf("ended: %v", err)
	}
	if _, err := s.Begin(rpc.NumberID(1), nil); err == nil || err.Error() != want {
		t.Errorf("call in an ended session: %v", err)
	}
}

func TestSessionsThatAreNotUsedEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := keyring(t)
		r := registry(t, Config{Idle: 30 * time.Minute, Max: 24 * time.Hour}, keys)
		var ended []string
		var mu sync.Mutex
		r.OnEnd(func(key string) {
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, key)
		})
		gone := func(key string) bool {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(ended, key)
		}

		never, used, calling, listening := opened(t, r, client), opened(t, r, client), opened(t, r, client), opened(t, r, client)
		once := opened(t, r, client)
		first := resumed(t, r, once).Client().Session
		busy := resumed(t, r, calling)
		flight, err := busy.Begin(rpc.NumberID(1), func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		listener := resumed(t, r, listening)
		stream := handle(t, r, call(listener, mcp.EdgeMethod(mcp.SessionStream), nil))

		for range 4 {
			time.Sleep(20 * time.Minute)
			resumed(t, r, used)
		}
		for name, id := range map[string]string{"never used": never, "used once": once} {
			if _, err := r.Resume(id, "/mcp"); !isUnknown(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !gone(first) {
			t.Error("the end of a session was not told")
		}
		// What holds a call or a stream stays, and its idle time begins with the end of it.
		flight.Finish()
		if err := stream.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Minute)
		if gone(busy.Client().Session) || gone(listener.Client().Session) {
			t.Error("a session ended within its idle time")
		}
		time.Sleep(2 * time.Minute)
		if !gone(busy.Client().Session) || !gone(listener.Client().Session) {
			t.Error("a session did not end after its idle time")
		}

		// After a restart nobody knows when a session was last used.
		restarted := registry(t, Config{Idle: 30 * time.Minute, Max: 24 * time.Hour}, keys)
		resumed(t, restarted, never)
		time.Sleep(31 * time.Minute)
		for name, id := range map[string]string{"used after the restart": never, "not used after the restart": used} {
			if _, err := restarted.Resume(id, "/mcp"); !isUnknown(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestSessionsDoNotGetOlderThanTheyMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := keyring(t)
		r := registry(t, Config{Idle: 30 * time.Minute, Max: 2 * time.Hour}, keys)
		id := opened(t, r, client)
		s := resumed(t, r, id)
		stream := handle(t, r, call(s, mcp.EdgeMethod(mcp.SessionStream), nil))
		defer stream.Close()
		var cause error
		flight, err := s.Begin(rpc.NumberID(1), func(err error) { cause = err })
		if err != nil {
			t.Fatal(err)
		}
		defer flight.Finish()
		start := time.Now()
		if m, err := stream.Next(); err != io.EOF { //nolint:errorlint // Next returns it bare
			t.Errorf("%v %v", m, err)
		}
		if took := time.Since(start); took < 2*time.Hour || took > 2*time.Hour+2*time.Minute {
			t.Errorf("ended after %v", took)
		}
		synctest.Wait()
		if !isUnknown(cause) {
			t.Errorf("cause = %v", cause)
		}
		for name, r := range map[string]*Registry{"here": r, "elsewhere": registry(t, Config{Max: 2 * time.Hour}, keys)} {
			if _, err := r.Resume(id, "/mcp"); !isUnknown(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// An ended session stays ended for as long as its id would be good.
func TestEndedSessionsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry(t, Config{Idle: 30 * time.Minute}, keyring(t))
		id := opened(t, r, client)
		s := resumed(t, r, id)
		handle(t, r, call(s, mcp.EdgeMethod(mcp.SessionEnd), nil))
		for range 40 {
			if _, err := r.Resume(id, "/mcp"); !isUnknown(err) {
				t.Fatalf("after %v: %v", time.Since(s.created), err)
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if n := len(r.shard(s.Client().Session).ended); n != 0 {
			t.Errorf("%d sessions are remembered for ever", n)
		}
	})
}

// Live state is bounded. What is given up was not used for long, holds nothing, and
// can come back.
func TestLiveStateIsBounded(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	sh := r.shard("x")
	now := time.Now()
	add := func(key string, used time.Time) (*Session, error) {
		s := newSession(r, key, "/mcp", &ticket{created: now}, &state.Session{}, used)
		s, _, err := sh.add(s)
		return s, err
	}
	busy := 0
	for i := range maxLive {
		s, err := add(fmt.Sprint(i), now.Add(-time.Duration(i)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			busy++
			if _, err := s.Begin(rpc.NumberID(1), func(error) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range maxLive - busy {
		s, err := add(fmt.Sprint("new", i), now)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if _, err := s.Begin(rpc.NumberID(1), func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if len(sh.live) != maxLive {
		t.Errorf("%d live sessions", len(sh.live))
	}
	for i := 0; i < maxLive; i += 2 {
		if _, ok := sh.find(fmt.Sprint(i)); !ok {
			t.Fatalf("a session with a call was given up")
		}
	}
	if _, err := add("one more", now); err == nil || rpc.AsError(err).Code != rpc.Busy {
		t.Errorf("error = %v", err)
	}
	for i := range 3 * maxEnded {
		sh.remember(fmt.Sprint(i), now.Add(time.Duration(i)*time.Second))
	}
	if len(sh.ended) != maxEnded {
		t.Errorf("%d ended sessions are remembered", len(sh.ended))
	}
	if _, ok := sh.ended[fmt.Sprint(3*maxEnded-1)]; !ok {
		t.Error("the one that is good for longest was forgotten")
	}
}

func FuzzResume(f *testing.F) {
	keys := keyring(f)
	r := registry(f, Config{}, keys)
	id := opened(f, r, client)
	f.Add(id, []byte{whole})
	f.Add(id[:40], []byte{shelved})
	t := ticket{form: whole, client: client, created: time.Now()}
	f.Add("", t.encode())
	f.Fuzz(func(t *testing.T, other string, plain []byte) {
		if _, err := r.Resume(other, "/mcp"); err == nil && other != id {
			t.Errorf("%q is a session", other)
		}
		// What a newer process sealed may be anything.
		sealed := keys.Seal(purpose, []byte("/mcp"), plain)
		s, err := r.Resume(sealed, "/mcp")
		if err != nil {
			return
		}
		var a, b ticket
		if !a.decode(plain) || !b.decode(a.encode()) || cmp.Diff(a.client, b.client) != "" || a.key != b.key || a.owner != b.owner || !a.created.Equal(b.created) {
			t.Errorf("%x is read in two ways", plain)
		}
		if s.Client().Era != rpc.Legacy {
			t.Error("a modern session")
		}
	})
}
