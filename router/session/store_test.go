package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/embedded"
)

// store is one of an engine in a file.
func store(t *testing.T) state.Sessions {
	t.Helper()
	e, err := embedded.Open(filepath.Join(t.TempDir(), "state.db"), embedded.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e.Sessions()
}

// 5.16, 5.31: a session outlives the process, by its last use and not by its age.
func TestSessionsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys, cfg := keyring(t), Config{Idle: 30 * time.Minute, Max: 24 * time.Hour, Store: store(t)}
		r := registry(t, cfg, keys)
		used, idle, listening := opened(t, r, client), opened(t, r, client), opened(t, r, client)
		resumed(t, r, idle)
		stream := handle(t, r, call(resumed(t, r, listening), mcp.EdgeMethod(mcp.SessionStream), nil))
		level := rpc.NewRequest(rpc.NumberID(1), mcp.SetLevel, []byte(`{"level":"error"}`))
		handle(t, r, call(resumed(t, r, used), &rpc.Method{Name: mcp.SetLevel}, level))
		for range 8 {
			time.Sleep(5 * time.Minute)
			resumed(t, r, used)
		}
		time.Sleep(2 * time.Minute)

		// The first process is killed here: it says nothing any more.
		restarted := registry(t, cfg, keys)
		if got := resumed(t, restarted, used).Client().LogLevel; got != "error" {
			t.Errorf("the level is %q", got)
		}
		resumed(t, restarted, listening)
		if _, err := restarted.Resume(idle, "/mcp"); !isUnknown(err) {
			t.Errorf("a session that was idle for long: %v", err)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}

		// The time in which no process ran counts too.
		time.Sleep(40 * time.Minute)
		later := registry(t, cfg, keys)
		if _, err := later.Resume(used, "/mcp"); !isUnknown(err) {
			t.Errorf("a session that was not used while nothing ran: %v", err)
		}
	})
}

// What is used at the last moment is told when the process ends in order.
func TestLastUsesAreToldAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys, cfg := keyring(t), Config{Idle: 30 * time.Minute, Store: store(t)}
		r := New(cfg, keys, slog.New(slog.DiscardHandler))
		id := opened(t, r, client)
		key := resumed(t, r, id).Client().Session
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if past, _ := cfg.Store.Recall(key); !past.Used.Equal(time.Now().Truncate(time.Millisecond)) {
			t.Errorf("last use is remembered as %v, now is %v", past.Used, time.Now())
		}
	})
}

// 5.16: a session that its client ended stays dead, here and after a restart.
func TestEndedSessionsStayDeadAfterARestart(t *testing.T) {
	t.Parallel()
	keys, cfg := keyring(t), Config{Store: store(t)}
	r := registry(t, cfg, keys)
	id, other := opened(t, r, client), opened(t, r, client)
	handle(t, r, call(resumed(t, r, id), mcp.EdgeMethod(mcp.SessionEnd), nil))
	for name, r := range map[string]*Registry{"here": r, "after a restart": registry(t, cfg, keys)} {
		if _, err := r.Resume(id, "/mcp"); !isUnknown(err) {
			t.Errorf("%s: %v", name, err)
		}
		resumed(t, r, other)
	}
}

// A client that asks for the end and leaves has its session ended for good.
func TestSessionsOfClientsThatDoNotWaitStayDead(t *testing.T) {
	t.Parallel()
	keys, cfg := keyring(t), Config{Store: store(t)}
	r := registry(t, cfg, keys)
	id := opened(t, r, client)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.Handle(ctx, call(resumed(t, r, id), mcp.EdgeMethod(mcp.SessionEnd), nil)); err != nil {
		t.Errorf("end: %v", err)
	}
	if _, err := registry(t, cfg, keys).Resume(id, "/mcp"); !isUnknown(err) {
		t.Errorf("after a restart: %v", err)
	}
}

// broken is a store whose disk is gone.
type broken struct{ forgetful }

func (*broken) Recall(string) (state.Session, error) { return state.Session{}, io.ErrUnexpectedEOF }

func (*broken) SetClient(context.Context, string, []byte, time.Time) error {
	return io.ErrUnexpectedEOF
}

func (*broken) End(context.Context, string, time.Time) error { return io.ErrUnexpectedEOF }

// readable answers while its disk takes nothing.
type readable struct{ broken }

func (*readable) Recall(string) (state.Session, error) { return state.Session{}, nil }

// An end that no restart would know of is not acknowledged, though it holds here.
func TestAnEndThatIsNotWrittenIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Store: &readable{}}, keyring(t))
	id := opened(t, r, client)
	s := resumed(t, r, id)
	_, err := r.Handle(t.Context(), call(s, mcp.EdgeMethod(mcp.SessionEnd), nil))
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.Internal {
		t.Errorf("end: %v", err)
	}
	if _, err := r.Resume(id, "/mcp"); !isUnknown(err) {
		t.Errorf("afterwards: %v", err)
	}
}

// A store that does not answer says nothing of the session: the client must not
// take it for dead, nor may a dead one be used.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Store: &broken{}}, keyring(t))
	_, err := r.Resume(opened(t, r, client), "/mcp")
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.Internal {
		t.Errorf("resume: %v", err)
	}
}
