package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// verbose is a client that says more of itself than fits into an id.
func verbose() rpc.Client {
	c := client
	c.Capabilities = []byte(`{"experimental":{"x":"` + strings.Repeat("x", 20_000) + `"}}`)
	return c
}

// 5.31: a session whose client does not fit into its id outlives the process too, until
// it ends.
func TestVerboseClientsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	keys, cfg := keyring(t), Config{Store: store(t)}
	r := registry(t, cfg, keys)
	stays, leaves := opened(t, r, verbose()), opened(t, r, verbose())
	key := resumed(t, r, leaves).Client().Session
	handle(t, r, call(resumed(t, r, leaves), mcp.EdgeMethod(mcp.SessionEnd), nil))
	if past, _ := cfg.Store.Recall(key); past.Client != nil {
		t.Error("what an ended session's client said is kept")
	}

	restarted := registry(t, cfg, keys)
	got := resumed(t, restarted, stays).Client()
	got.Session = ""
	if diff := cmp.Diff(verbose(), got); diff != "" {
		t.Error(diff)
	}
	if _, err := restarted.Resume(leaves, "/mcp"); !isUnknown(err) {
		t.Errorf("a session that was ended: %v", err)
	}
}

func TestAClientThatIsNotWrittenGetsNoSession(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Store: &readable{}}, keyring(t))
	if _, err := r.Open(t.Context(), verbose(), alice, "/mcp", nil); err == nil || rpc.AsError(err).Code != rpc.Internal {
		t.Errorf("got %v", err)
	}
}

// What is past its time is not kept, whether it lapsed here or while nothing ran.
func TestWhatLapsesIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys, cfg := keyring(t), Config{Idle: 30 * time.Minute, Store: store(t)}
		kept := func(key string) bool {
			past, err := cfg.Store.Recall(key)
			return err != nil || past.Client != nil || past.Subscriptions != nil
		}
		r := registry(t, cfg, keys)
		id := opened(t, r, verbose())
		key := resumed(t, r, id).Client().Session
		if err := r.Subscribed(t.Context(), key, state.ResourceSubscription{URI: "x:1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Minute)
		if !kept(key) {
			t.Error("it is not kept")
		}
		time.Sleep(3 * time.Minute)
		if kept(key) {
			t.Error("it is kept after its session lapsed")
		}

		id = opened(t, r, verbose())
		key = resumed(t, r, id).Client().Session
		time.Sleep(2 * time.Minute)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := registry(t, cfg, keys).Resume(id, "/mcp"); !isUnknown(err) || kept(key) {
			t.Errorf("resume: %v; it is kept after its session lapsed while nothing ran", err)
		}
	})
}

// recollection is what a registry asked to be taken up again.
type recollection struct{ uris []string }

func (rc *recollection) take(_ context.Context, c *rpc.Call, subs []state.ResourceSubscription) {
	for _, s := range subs {
		rc.uris = append(rc.uris, c.Client.Session[:4]+" "+s.URI)
	}
}

// 5.16: subscriptions are taken up again by the first call of the session's principal, and
// by no other.
func TestSubscriptionsAreRecalledOnce(t *testing.T) {
	t.Parallel()
	keys, cfg := keyring(t), Config{Store: store(t)}
	r := registry(t, cfg, keys)
	id := opened(t, r, client)
	key := resumed(t, r, id).Client().Session
	for _, uri := range []string{"x:1", "x:2", "x:3"} {
		if err := r.Subscribed(t.Context(), key, state.ResourceSubscription{URI: uri, Upstream: "up", Own: uri}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Unsubscribed(t.Context(), key, "x:2"); err != nil {
		t.Fatal(err)
	}

	restarted := registry(t, cfg, keys)
	var got recollection
	restarted.OnRecall(got.take)
	guarded := restarted.Guard(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }))
	c := call(resumed(t, restarted, id), &rpc.Method{Name: mcp.Ping}, nil)
	c.Principal.User = "mallory"
	if _, err := guarded.Handle(t.Context(), c); !isUnknown(err) || got.uris != nil {
		t.Errorf("a stranger's call: %v, %v", err, got.uris)
	}
	c.Principal = alice
	for range 2 {
		if _, err := guarded.Handle(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got.uris)
	if diff := cmp.Diff([]string{key[:4] + " x:1", key[:4] + " x:3"}, got.uris); diff != "" {
		t.Error(diff)
	}
}

// A session that ends while it is taken up again leaves nothing.
func TestSessionEndsWhileItIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	keys, cfg := keyring(t), Config{Store: store(t)}
	id := opened(t, registry(t, cfg, keys), client)
	r := registry(t, cfg, keys)
	s := resumed(t, r, id)
	s.past.take([]state.ResourceSubscription{{URI: "x:1"}})
	ended := 0
	r.OnEnd(func(string) { ended++ })
	r.OnRecall(func(context.Context, *rpc.Call, []state.ResourceSubscription) {
		r.end(s, errors.New("the end"))
		if ended != 1 {
			t.Errorf("%d ends", ended)
		}
	})
	s.restore(t.Context(), call(s, &rpc.Method{Name: mcp.Ping}, nil))
	if ended != 2 {
		t.Error("what was taken up is not given up")
	}
}

func TestSubscriptionsThatAreTooMuch(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Store: store(t)}, keyring(t))
	key := resumed(t, r, opened(t, r, client)).Client().Session
	long := state.ResourceSubscription{URI: strings.Repeat("x", state.MaxSubscriptionURI+1)}
	if err := r.Subscribed(t.Context(), key, long); rpc.AsError(err).Code != rpc.Busy {
		t.Errorf("got %v", err)
	}
	if err := r.Subscribed(t.Context(), "another", state.ResourceSubscription{URI: "x"}); !isUnknown(err) {
		t.Errorf("a session that is not live: %v", err)
	}
}
