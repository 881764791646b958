package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

// A client may want its session to end earlier than others do, and not later.
func TestAClientsOwnIdleTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ wish, want time.Duration }{
		"less": {time.Minute, time.Minute}, "more": {time.Hour, 10 * time.Minute}, "none": {0, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := registry(t, Config{Idle: 10 * time.Minute, Max: 20 * time.Minute, IdleOf: func(*rpc.Client) time.Duration { return tt.wish }}, keyring(t))
				id := opened(t, r, client)
				s := resumed(t, r, id)
				if at, ok := r.Expires(s.Client().Session); !ok || time.Until(at).Round(time.Second) != tt.want {
					t.Errorf("it expires at %v, %v", at, ok)
				}
				time.Sleep(tt.want - time.Second)
				resumed(t, r, id)
				time.Sleep(tt.want + time.Second)
				if _, err := r.Resume(id, "/mcp"); rpc.CodeOf(err) != rpc.SessionUnknown {
					t.Errorf("after %v without use it gives %v", tt.want, err)
				}
			})
		})
	}
}

func TestExpiresAtItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry(t, Config{Idle: 10 * time.Minute, Max: 15 * time.Minute}, keyring(t))
		s := resumed(t, r, opened(t, r, client))
		time.Sleep(9 * time.Minute)
		s.use(time.Now())
		if at, ok := r.Expires(s.Client().Session); !ok || time.Until(at).Round(time.Second) != 6*time.Minute {
			t.Errorf("it expires at %v, %v", at, ok)
		}
		if _, ok := r.Expires("another"); ok {
			t.Error("a session that never was expires")
		}
	})
}

// What takes no place among the calls in flight is use as well: a connection may say nothing but that it is there.
func TestWhatTakesNoPlaceIsUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry(t, Config{Idle: 10 * time.Minute}, keyring(t))
		id := opened(t, r, client)
		s := resumed(t, r, id)
		for range 3 {
			time.Sleep(9 * time.Minute)
			f, err := s.Begin(rpc.ID{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			f.Finish()
		}
		resumed(t, r, id)
	})
}
