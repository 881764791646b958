package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func everywhere(string) bool { return true }

func notice(n int) *rpc.Message {
	return rpc.NewNotification("notifications/x", []byte(fmt.Sprintf(`{"n":%d}`, n)))
}

func listening(ctx context.Context, tb testing.TB, r *Registry, s *Session) *rpc.Reply {
	tb.Helper()
	reply, err := r.Handle(ctx, call(s, mcp.EdgeMethod(mcp.SessionStream), nil))
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}

func TestNotificationsWaitForAStream(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Queue: 3}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	for _, n := range []int{1, 2, 1, 1, 3, 4, 5} { // 1 waits already, 4 and 5 are too many
		r.Broadcast(everywhere, notice(n))
	}
	stream := listening(t.Context(), t, r, s)
	for n := 1; n <= 3; n++ {
		m, err := stream.Next()
		if err != nil || string(m.Params) != fmt.Sprintf(`{"n":%d}`, n) {
			t.Fatalf("%s %v, want %d", m.Params, err, n)
		}
	}
	r.Broadcast(everywhere, notice(1)) // it waits no more, so it is news
	if m, err := stream.Next(); err != nil || string(m.Params) != `{"n":1}` {
		t.Errorf("%s %v", m.Params, err)
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		end  func(cancel context.CancelCauseFunc, r *Registry, s *Session, stream *rpc.Reply)
		want error
	}{
		"with its context": {func(cancel context.CancelCauseFunc, _ *Registry, _ *Session, _ *rpc.Reply) { cancel(gone) }, gone},
		"when it is closed": {func(_ context.CancelCauseFunc, _ *Registry, _ *Session, stream *rpc.Reply) {
			_ = stream.Close()
		}, io.EOF},
		"with the session": {func(_ context.CancelCauseFunc, r *Registry, s *Session, _ *rpc.Reply) { r.end(s, gone) }, io.EOF},
		"with the gateway": {func(_ context.CancelCauseFunc, r *Registry, _ *Session, _ *rpc.Reply) { r.EndStreams() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := registry(t, Config{}, keyring(t))
				s := resumed(t, r, opened(t, r, client))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				stream := listening(ctx, t, r, s)
				got := make(chan error, 1)
				go func() {
					_, err := stream.Next()
					got <- err
				}()
				synctest.Wait()
				tt.end(cancel, r, s, stream)
				if err := <-got; !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				_ = stream.Close()
				if len(s.streams) != 0 {
					t.Errorf("%d streams are left", len(s.streams))
				}
			})
		})
	}
}

// Each notification goes on exactly one stream, however many come and go.
func TestStreamsOfManyGoroutines(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Queue: 10_000}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	const total = 2000
	var mu sync.Mutex
	got := map[string]int{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				stream := listening(ctx, t, r, s)
				for range 50 {
					m, err := stream.Next()
					if err != nil {
						break
					}
					mu.Lock()
					if got[string(m.Params)]++; len(got) == total {
						stop()
					}
					mu.Unlock()
				}
				_ = stream.Close()
			}
		})
	}
	for n := range total {
		r.Broadcast(everywhere, notice(n))
	}
	wg.Wait()
	for params, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", params, n)
		}
	}
	if len(got) != total {
		t.Errorf("%d of %d came", len(got), total)
	}
}

// An idle stream must not cost more than 2 KiB here, its session included.
func TestIdleStreamsAreSmall(t *testing.T) { //nolint:paralleltest // it measures the heap
	const n = 5000
	r := registry(t, Config{}, keyring(t))
	ids := make([]string, n)
	for i := range ids {
		ids[i] = opened(t, r, client)
	}
	before := heap()
	streams := make([]*rpc.Reply, n)
	for i, id := range ids {
		streams[i] = listening(t.Context(), t, r, resumed(t, r, id))
	}
	if each := (heap() - before) / n; each > 2048 {
		t.Errorf("%d bytes each", each)
	} else {
		t.Logf("%d bytes each", each)
	}
	runtime.KeepAlive(streams)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkResume(b *testing.B) {
	r := New(Config{}, keyring(b), slog.New(slog.DiscardHandler))
	b.Cleanup(func() { _ = r.Close(context.WithoutCancel(b.Context())) })
	id := opened(b, r, client)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Resume(id, "/mcp"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// All that a client has subscribed to may change while it has no stream, and none of it is
// lost for other notifications, as long as it is not too much.
func TestUpdatesWaitForAStream(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{Queue: 2}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	update := func(uri string) *rpc.Message {
		return rpc.NewNotification(mcp.ResourceUpdated, append(rpc.AppendString([]byte(`{"uri":`), uri), '}'))
	}
	r.Broadcast(everywhere, notice(1))
	for range 2 {
		for i := range maxUpdates {
			r.Post(s.client.Session, update(fmt.Sprint("x:", i)))
		}
	}
	r.Broadcast(everywhere, notice(2)) // too many of its kind
	stream := listening(t.Context(), t, r, s)
	for i := range maxUpdates + 1 {
		m, err := stream.Next()
		if want := fmt.Sprintf(`{"uri":"x:%d"}`, i-1); err != nil || i > 0 && string(m.Params) != want {
			t.Fatalf("%s, %v, want %s", m.Params, err, want)
		}
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		r.Post(s.client.Session, update(fmt.Sprint(i, strings.Repeat("x", maxPendingBytes/20))))
	}
	if n := len(s.pending); n < 10 || n > 20 {
		t.Errorf("%d long notifications wait", n)
	}
}
