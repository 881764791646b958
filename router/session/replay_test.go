package session

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

func TestTracksAreBounded(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	large := s.Track()
	if id, _ := large.Add(make([]byte, maxReplay)); id == "" {
		t.Fatal("what fits was not kept")
	}
	if id, _ := large.Add([]byte("x")); id != "" || large.Kept() {
		t.Error("more than the bound was kept")
	}
	if _, err := s.Replay(Event{number: large.number}); err == nil {
		t.Error("a stream with a hole was replayed")
	}
	first := s.Track()
	first.Add([]byte("{}"))
	first.End()
	for range maxTracks {
		s.Track().Add([]byte("{}"))
	}
	if _, err := s.Replay(Event{number: first.number}); err == nil {
		t.Error("more streams than the bound are kept")
	}
	r.end(s, errUnknown())
	if n := r.replayable.Load(); n != 0 {
		t.Errorf("%d bytes are still counted after the session", n)
	}
	if id, _ := s.Track().Add([]byte("{}")); id != "" {
		t.Error("an ended session keeps streams")
	}
}

func TestTracksExpireAWhileAfterTheirEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry(t, Config{}, keyring(t))
		s := resumed(t, r, opened(t, r, client))
		over, running := s.Track(), s.Track()
		over.Add([]byte("{}"))
		over.End()
		running.Add([]byte("{}"))
		time.Sleep(keepEnded / 2)
		if _, err := s.Replay(Event{number: over.number}); err != nil {
			t.Errorf("soon after its end: %v", err)
		}
		time.Sleep(2*keepEnded + time.Second)
		if _, err := s.Replay(Event{number: over.number}); err == nil {
			t.Error("it is kept for ever")
		}
		if _, err := s.Replay(Event{number: running.number}); err != nil {
			t.Errorf("a running one: %v", err)
		}
	})
}

// rest reads the events that are kept behind one, without waiting for more.
func rest(t *testing.T, s *Session, after Event) (out []string) {
	t.Helper()
	r, err := s.Replay(after)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for text, _ := r.take(); text != nil; text, _ = r.take() {
		out = append(out, string(text))
	}
	if _, _, ok := r.Next(ctx); ok {
		t.Error("there is more")
	}
	return out
}

func TestEventsAreOfOneSession(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s, other := resumed(t, r, opened(t, r, client)), resumed(t, r, opened(t, r, client))
	track := s.Track()
	id, _ := track.Add([]byte("1"))
	again, _ := track.Add([]byte("2"))
	if id == again || len(id) > 100 {
		t.Errorf("ids %q and %q", id, again)
	}
	e, err := s.Event(id)
	if err != nil || e != (Event{track.number, 1, false}) {
		t.Errorf("event %+v: %v", e, err)
	}
	if got := rest(t, s, e); !slices.Equal(got, []string{"2"}) {
		t.Errorf("behind the first event: %q", got)
	}
	for what, wrong := range map[string]string{"nonsense": "1-1", "cut": id[:len(id)-1], "empty": "", "a session's id": opened(t, r, client)} {
		if _, err := s.Event(wrong); err == nil {
			t.Errorf("%s is an event", what)
		}
	}
	if _, err := other.Event(id); err == nil {
		t.Error("it is an event of another session")
	}
	if _, err := s.Replay(Event{track.number, 3, false}); err == nil {
		t.Error("an event to come can be resumed from")
	}
}

// An event of before a restart must not look like one of a stream of now.
func TestEventsOfBeforeARestartAreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := keyring(t)
		id := opened(t, registry(t, Config{}, keys), client)
		event, _ := resumed(t, registry(t, Config{}, keys), id).Track().Add([]byte("1"))
		time.Sleep(time.Second)
		s := resumed(t, registry(t, Config{}, keys), id)
		s.Track().Add([]byte("2"))
		e, err := s.Event(event)
		if err != nil {
			t.Fatalf("its id is not known: %v", err)
		}
		if _, err := s.Replay(e); err == nil {
			t.Error("another stream is taken for it")
		}
	})
}

func TestStandingTracksAreTakenOver(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	old, missed := s.Stand(Event{})
	if len(missed) > 0 {
		t.Errorf("missed %q", missed)
	}
	first, _ := old.Add([]byte("1"))
	old.Add([]byte("2"))
	after, err := s.Event(first)
	if err != nil || !after.Standing() {
		t.Fatalf("event %+v: %v", after, err)
	}
	next, missed := s.Stand(after)
	if len(missed) != 1 || string(missed[0].Text) != "2" {
		t.Fatalf("missed %q", missed)
	}
	if id, ours := old.Add([]byte("3")); ours || id != "" || old.Kept() {
		t.Error("the connection that was left still writes")
	}
	if id, ours := next.Add([]byte("3")); !ours || id == "" {
		t.Error("the connection that took over does not write")
	}
	last, _ := s.Event(missed[0].ID)
	if _, missed = s.Stand(last); len(missed) != 1 || string(missed[0].Text) != "3" {
		t.Errorf("missed %q behind the second event", missed)
	}
	if _, err := s.Replay(after); err == nil {
		t.Error("it is taken for the stream of a call")
	}
}

// A session whose live state is given up takes no room any more, nor does who just looked
// it up get to use what is left of it.
func TestEvictedSessionsKeepNoTracks(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	s.Track().Add([]byte("{}"))
	sh := r.shard(s.client.Session)
	for i := range maxLive - 1 {
		busy, _, err := sh.add(newSession(r, fmt.Sprint(i), "/mcp", &ticket{created: time.Now()}, &state.Session{}, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := busy.Begin(rpc.NumberID(1), func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	for live := true; live; _, live = sh.find(s.client.Session) {
		resumed(t, r, opened(t, r, client)) // one in 64 is of the same shard
	}
	if n := r.replayable.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
	if _, err := s.Begin(rpc.NumberID(1), func(error) {}); err == nil {
		t.Error("a call begins in a session that is nobody's")
	}
}

func TestStandingTracksKeepTheLatest(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	track, _ := s.Stand(Event{})
	for range 3 {
		if id, _ := track.Add(make([]byte, maxStanding/2)); id == "" {
			t.Fatal("no id")
		}
	}
	if n := r.replayable.Load(); n > maxStanding {
		t.Errorf("%d bytes are kept", n)
	}
	if _, missed := s.Stand(Event{number: track.number, standing: true}); len(missed) != 2 {
		t.Errorf("%d events are had again, want the latest 2", len(missed))
	}
	if track, missed := s.Stand(Event{number: 1, standing: true}); track == nil || len(missed) > 0 {
		t.Error("a stream that is not kept does not begin anew")
	}
	r.end(s, errUnknown())
	if n := r.replayable.Load(); n != 0 {
		t.Errorf("%d bytes are still counted after the session", n)
	}
}

func TestReturnedNotificationsComeFirst(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	s.post(rpc.NewNotification("second", nil))
	s.Return(rpc.NewNotification("first", nil))
	reply := handle(t, r, call(s, mcp.EdgeMethod(mcp.SessionStream), nil))
	for _, want := range []string{"first", "second"} {
		if m, err := reply.Next(); err != nil || m.Method != want {
			t.Errorf("%v %v, want %s", m, err, want)
		}
	}
}
