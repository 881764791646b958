// Command install fetches and builds the foreign clients and servers that package peer pins, into test/.peers.
//
// It needs Go, Node.js with npm, apt-get (or the programs that only Debian has on PATH), and the package
// registries they are set up for. It needs no privileges. It is idempotent and quick when nothing has changed, and two runs at the same time wait for each other. "make peers" calls it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headgate/headgate/test/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := peer.Folder()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, part := range []struct {
		peer.Part
		install func(context.Context, string) error
	}{
		{peer.Runtime, installNode},
		{peer.Tools, installTools},
		{peer.Identity, installIdentity},
		{peer.Bin, buildPrograms},
		{peer.Debian, unpackPrograms(peer.Debian)},
		{peer.Proxies, unpackPrograms(peer.Proxies)},
		{peer.Engine, installEngine},
		{peer.OpenAI, installOpenAI},
	} {
		if err := bring(ctx, dir, part.Part, part.install); err != nil {
			return err
		}
	}
	return nil
}

// bring installs a part that is not what is pinned.
func bring(ctx context.Context, dir string, part peer.Part, install func(context.Context, string) error) error {
	switch ok, err := part.Installed(dir); {
	case err != nil:
		return err
	case ok:
		return nil
	}
	stamp, err := part.Stamp()
	if err != nil {
		return err
	}
	if err := install(ctx, dir); err != nil {
		return err
	}
	// Last: a half-made installation must not look finished.
	return os.WriteFile(part.StampFile(dir), []byte(stamp+"\n"), 0o644)
}

// lock waits until no other run holds the installation.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	// Closing the file releases the lock.
	return func() { f.Close() }, nil
}

// step tells what is going on and how long it took.
func step(what string, do func() error) error {
	began := time.Now()
	fmt.Fprintf(os.Stderr, "peers: %s …\n", what)
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(os.Stderr, "peers: %s: done in %s\n", what, time.Since(began).Round(time.Second))
	return nil
}
