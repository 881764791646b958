package session

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTracksAreBounded(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	large := s.Track()
	if id := large.Add(make([]byte, maxReplay)); id == "" {
		t.Fatal("what fits was not kept")
	}
	if id := large.Add([]byte("x")); id != "" || large.Kept() {
		t.Error("more than the bound was kept")
	}
	if _, err := s.Replay(large.ID()); err == nil {
		t.Error("a stream with a hole was replayed")
	}
	first := s.Track()
	first.Add([]byte("{}"))
	first.End()
	for range maxTracks {
		s.Track().Add([]byte("{}"))
	}
	if _, err := s.Replay(first.ID()); err == nil {
		t.Error("more streams than the bound are kept")
	}
	r.end(s, errUnknown())
	if n := r.replayable.Load(); n != 0 {
		t.Errorf("%d bytes are still counted after the session", n)
	}
	if id := s.Track().Add([]byte("{}")); id != "" {
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
		if _, err := s.Replay(over.ID()); err != nil {
			t.Errorf("soon after its end: %v", err)
		}
		time.Sleep(2*keepEnded + time.Second)
		if _, err := s.Replay(over.ID()); err == nil {
			t.Error("it is kept for ever")
		}
		if _, err := s.Replay(running.ID()); err != nil {
			t.Errorf("a running one: %v", err)
		}
	})
}
