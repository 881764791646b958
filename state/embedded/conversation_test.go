package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/statetest"
)

func TestConversations(t *testing.T) {
	t.Parallel()
	statetest.Conversations(t, subject)
}

// Who talks much does not take the room of everybody: what was not used for longest is given up.
func TestConversationsHaveRoomTogether(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	const room = 256 << 10
	e := opened(t, path, Options{ConversationBytes: room})
	bounds := state.ConversationBounds{Turns: 100, Bytes: 32 << 10}
	terms := state.ConversationTerms{Idle: time.Hour, Most: time.Hour}
	for i := range 400 {
		key := fmt.Sprint(i)
		if err := e.Conversations().Open(t.Context(), key, terms); err != nil && !errors.Is(err, state.ErrFull) {
			t.Fatal(err)
		}
		for range 5 {
			turn := state.Turn{Data: bytes.Repeat([]byte("x"), 2<<10), Context: make([]byte, 1<<10)}
			err := e.Conversations().Add(t.Context(), key, "m", turn, bounds)
			if err != nil && !errors.Is(err, state.ErrNoConversation) {
				t.Fatal(err)
			}
		}
		if held := e.Conversations().held.Load(); held > room {
			t.Fatalf("%d bytes are held, of %d", held, room)
		}
	}
	held := e.Conversations().held.Load()
	closed(t, e)
	e = opened(t, path, Options{ConversationBytes: room})
	defer closed(t, e)
	if again := e.Conversations().held.Load(); again != held {
		t.Errorf("%d bytes are held after a restart, %d before", again, held)
	}
	for i := range 400 {
		sh := e.Conversations().shard(fmt.Sprint(i))
		sh.mu.Lock()
		e.Conversations().drop(sh, fmt.Sprint(i))
		sh.mu.Unlock()
	}
	if held := e.Conversations().held.Load(); held != 0 {
		t.Errorf("%d bytes are held of nothing", held)
	}
}
