package mcpserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_19_LanesAreTakenByOneCallAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lanes
		kind, other := linkKey{owner: "a", features: "{}"}, linkKey{owner: "b", features: "{}"}
		var held []linkKey
		for i := range maxLanes {
			k, err := l.take(t.Context(), kind)
			if err != nil || k.lane != i {
				t.Fatal(i, k, err)
			}
			held = append(held, k)
		}
		if k, err := l.take(t.Context(), other); err != nil || k.lane != 0 {
			t.Error("another principal has lanes of its own:", k, err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.take(short, kind); err == nil {
			t.Error("one lane too many")
		}
		got := make(chan linkKey)
		go func() { k, _ := l.take(t.Context(), kind); got <- k }()
		synctest.Wait()
		l.give(held[3])
		if k := <-got; k.lane != 3 {
			t.Errorf("lane %d", k.lane)
		}
		for _, k := range held {
			l.give(k)
		}
		l.give(other)
		if len(l.kinds) != 0 {
			t.Errorf("left: %v", l.kinds)
		}
		if k, err := l.take(t.Context(), linkKey{}); err != nil || k != (linkKey{}) {
			t.Error("shared links have no lanes:", k, err)
		}
	})
}

// askable is a modern client that can be asked something.
func askable() rpc.Client {
	c := modernClient()
	c.Capabilities = []byte(`{"elicitation":{}}`)
	return c
}

// To a server with one credential all users are one. A session in which it could ask one of them is nobody else's,
// not even afterwards.
func TestCorner5_35_PrincipalsDoNotShareSessionsInWhichTheyAreAsked(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	pid := func(user string, client rpc.Client) string {
		call := newCall(t, client, modernToolCall("1", "pid", `{}`))
		call.Principal.User = user
		text := textOf(mustRun(t, s, call).response)
		return text
	}
	alice, bob := pid("alice", askable()), pid("bob", askable())
	if alice == bob {
		t.Error("two users share the process of one")
	}
	if again := pid("alice", askable()); again != alice {
		t.Error("a user's own process is not used again")
	}
	if common := pid("alice", modernClient()); common == alice || common != pid("bob", modernClient()) {
		t.Error("who cannot be asked anything shares the common process")
	}
}

func TestModernClientsAreAskedOnLinksOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	text := modernToolCall("1", "elicit", `{}`)
	first, err := s.Handle(t.Context(), newCall(t, askable(), text))
	if err != nil {
		t.Fatal(err)
	}
	q, err := first.Next()
	if err != nil || q.Method != mcp.ElicitationCreate {
		t.Fatal(q, err)
	}
	id := q.ID
	second, err := s.Handle(t.Context(), newCall(t, askable(), text))
	if err != nil {
		t.Fatal(err)
	}
	if q, err = second.Next(); err != nil || q.Method != mcp.ElicitationCreate {
		t.Fatal(q, err)
	}
	links := func() (n int) {
		s.links.mu.Lock()
		defer s.links.mu.Unlock()
		return s.links.privates()
	}
	if n := links(); n != 2 {
		t.Errorf("%d links for two calls at a time", n)
	}
	if err := first.Answer(rpc.NewResult(id, []byte(`{"action":"accept"}`))); err != nil {
		t.Fatal(err)
	}
	if m, err := first.Next(); err != nil || !m.IsResponse() {
		t.Fatal(m, err)
	}
	_ = first.Close()
	if n := links(); n != 2 {
		t.Errorf("%d links: one that ended well is used again", n)
	}
	_ = second.Close() // without a response
	if n := links(); n != 1 {
		t.Errorf("%d links: what a cancelled call leaves behind must not reach another", n)
	}
}
