package gateway

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// readable is a configuration without upstreams, on free ports.
func readable(t *testing.T) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	cfg.Shutdown.Grace = 0
	return cfg
}

// reading is a gateway that reads its configuration from load.
func reading(t *testing.T, cfg *config.Config, load Load) *Gateway {
	t.Helper()
	g, err := New(t.Context(), cfg, Options{Log: slog.New(slog.DiscardHandler), Version: "test", Load: load})
	if err == nil {
		err = g.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// patient is a context that counts who waits for it.
type patient struct {
	context.Context //nolint:containedctx // it is one
	waiting         atomic.Int64
}

func (p *patient) Done() <-chan struct{} {
	p.waiting.Add(1)
	return p.Context.Done()
}

// Whoever asks while a reload runs gets the next one, which is one for all of them: it reads what was written before it was
// asked for.
func TestReloadsThatAreAskedForMeanwhileAreOne(t *testing.T) {
	t.Parallel()
	cfg := readable(t)
	var loads atomic.Int64
	begun, release := make(chan struct{}), make(chan struct{})
	g := reading(t, cfg, func() (*config.Config, error) {
		if loads.Add(1) == 1 {
			close(begun)
			<-release
		}
		next := *cfg
		next.Bounds.Depth = 64 + int(loads.Load())
		return &next, nil
	})
	var all sync.WaitGroup
	results := make(chan admin.Reloaded, 9)
	ctx := &patient{Context: t.Context()}
	ask := func() { all.Go(func() { results <- g.ReloadFiles(ctx, "test") }) }
	ask()
	<-begun
	for range 8 {
		ask()
	}
	for ctx.waiting.Load() < 9 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	all.Wait()
	close(results)
	for r := range results {
		if r.Failed || r.Generation < 2 {
			t.Errorf("%+v", r)
		}
	}
	if n := loads.Load(); n != 2 || g.Configuration().Generation != 3 {
		t.Errorf("read %d times, generation %d", n, g.Configuration().Generation)
	}
	if err := g.StopNow(t.Context()); err != nil {
		t.Error(err)
	}
}

// While a gateway stops, and after that, nothing is reloaded any more; what runs is waited for.
func TestNothingIsReloadedByAGatewayThatStops(t *testing.T) {
	t.Parallel()
	cfg := readable(t)
	var depth atomic.Int64
	g := reading(t, cfg, func() (*config.Config, error) {
		next := *cfg
		next.Bounds.Depth = 64 + int(depth.Add(1))
		return &next, nil
	})
	var all sync.WaitGroup
	started := make(chan struct{})
	var once sync.Once
	for range 4 {
		all.Go(func() {
			for !g.ReloadFiles(context.WithoutCancel(t.Context()), "test").Failed {
				once.Do(func() { close(started) })
			}
		})
	}
	<-started
	if err := g.StopNow(t.Context()); err != nil {
		t.Error(err)
	}
	all.Wait()
	if _, err := g.Reload(t.Context(), cfg); rpc.AsError(err).Code != rpc.Draining {
		t.Errorf("after the end: %v", err)
	}
}

// What keeps a configuration from being read is no reason to lose the one that is in force, and is told until a good one comes.
func TestAFailedReloadIsTold(t *testing.T) {
	t.Parallel()
	cfg := readable(t)
	var failure atomic.Pointer[error]
	g := reading(t, cfg, func() (*config.Config, error) {
		if err := failure.Load(); err != nil {
			return nil, *err
		}
		return cfg, nil
	})
	defer func() { _ = g.StopNow(context.WithoutCancel(t.Context())) }()
	for _, err := range []error{
		errors.New("the disk is gone"),
		config.Problems{{Position: config.Position{File: "f", Line: 3, Column: 7}, Field: "listen", Message: "is wrong"}},
	} {
		failure.Store(&err)
		out := g.ReloadFiles(t.Context(), "test")
		if !out.Failed || out.Generation != 1 || (out.Error == "") == (len(out.Problems) == 0) || !g.Configuration().Failed {
			t.Errorf("%v: %+v", err, out)
		}
	}
	failure.Store(nil)
	if out := g.ReloadFiles(t.Context(), "test"); out.Failed || out.LastSuccess == nil || len(out.Problems) > 0 || out.Generation != 1 {
		t.Errorf("%+v", out)
	}
}

// A gateway that was started without files has nothing to read.
func TestAGatewayWithoutFilesIsNotReloaded(t *testing.T) {
	t.Parallel()
	g := reading(t, readable(t), nil)
	defer func() { _ = g.StopNow(context.WithoutCancel(t.Context())) }()
	if out := g.ReloadFiles(t.Context(), "test"); !out.Failed || out.Error != errNoFiles.Error() {
		t.Errorf("%+v", out)
	}
}
