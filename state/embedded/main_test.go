package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if run := children[os.Getenv(childEnv)]; run != nil {
		if err := run(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

var discard = slog.New(slog.DiscardHandler)

func opened(tb testing.TB, path string, o Options) *Engine {
	tb.Helper()
	o.Log = discard
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
