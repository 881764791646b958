package embedded

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func opened(tb testing.TB, path string, o Options) *Engine {
	tb.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	e, err := Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func closed(tb testing.TB, e *Engine) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		tb.Errorf("close: %v", err)
	}
}

func inFolder(tb testing.TB) string { return filepath.Join(tb.TempDir(), "state.db") }
