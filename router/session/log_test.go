package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// saying is a log message at a level, as everybody sees it.
func saying(level string) Log {
	m := rpc.NewNotification(mcp.LogMessage, []byte(`{"level":"`+level+`"}`))
	return Log{Level: level, At: func(string) *rpc.Message { return m }}
}

// waiting returns the params of what waits for a session's stream.
func waiting(s *Session) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, m := range s.pending {
		out = append(out, string(m.Params))
	}
	s.pending = nil
	return out
}

// Of what servers log outside of calls, each session gets what it asked for.
func TestCorner5_22_LogsReachTheSessionsThatWantThem(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Queue: 8}, keyring(t))
	sessions := map[string]*Session{}
	for name, level := range map[string]string{"unset": "", "debug": "debug", "error": "error", "deaf": "debug"} {
		s := resumed(t, r, opened(t, r, client))
		sessions[name] = s
		if name != "deaf" {
			stream := listening(t.Context(), t, r, s)
			defer stream.Close()
		}
		if level != "" {
			handle(t, r, call(s, &rpc.Method{Name: mcp.SetLevel}, rpc.NewRequest(rpc.NumberID(1), mcp.SetLevel, []byte(`{"level":"`+level+`"}`))))
		}
	}
	info, usually, elsewhere, one, odd := saying("info"), saying("debug"), saying("alert"), saying("alert"), saying("loud")
	usually.Usual = "info"
	elsewhere.At = func(string) *rpc.Message { return nil }
	one.Session = sessions["error"].client.Session
	for name, tt := range map[string]struct {
		log  Log
		want map[string][]string
	}{
		"a level":           {info, map[string][]string{"unset": {`{"level":"info"}`}, "debug": {`{"level":"info"}`}}},
		"a usual level":     {usually, map[string][]string{"debug": {`{"level":"debug"}`}}},
		"another endpoint":  {elsewhere, map[string][]string{}},
		"one session":       {one, map[string][]string{"error": {`{"level":"alert"}`}}},
		"no level of these": {odd, map[string][]string{"unset": {`{"level":"loud"}`}, "debug": {`{"level":"loud"}`}, "error": {`{"level":"loud"}`}}},
	} {
		r.Log(tt.log)
		got := map[string][]string{}
		for name, s := range sessions {
			if texts := waiting(s); len(texts) > 0 {
				got[name] = texts
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A client that is behind loses logs, not the news of what changed.
func TestCorner5_22_LogsLeaveRoomForChanges(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Queue: 4}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	stream := listening(t.Context(), t, r, s)
	defer stream.Close()
	for range 9 {
		r.Log(saying("alert"))
	}
	r.Broadcast(everywhere, notice(1))
	want := []string{`{"level":"alert"}`, `{"level":"alert"}`, `{"n":1}`}
	if diff := cmp.Diff(want, waiting(s)); diff != "" {
		t.Error(diff)
	}
}
