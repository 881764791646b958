package config

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long files must stay as they are until they count as written: editors write in steps.
	settleTime = 150 * time.Millisecond
	// lookTime is how often files are looked at though nobody said that they changed: some file systems say nothing, and a
	// folder that was replaced says nothing any more.
	lookTime = 30 * time.Second
	// maxLinks bounds the symbolic links that are followed to a file.
	maxLinks = 16
)

// Watch calls changed each time that the content of files has changed and has come to rest, until ctx ends. Files are
// asked for again after each call, since another configuration may consist of others. It sees files that are replaced by others of
// their name, as editors do, and those behind symbolic links that come to lead elsewhere, as Kubernetes does. Where the system
// cannot tell of changes it looks from time to time.
func Watch(ctx context.Context, log *slog.Logger, files func() []string, changed func()) {
	watch(ctx, log, files, changed, func() {})
}

// watch is Watch that says when it is ready: what changes from then on is seen.
func watch(ctx context.Context, log *slog.Logger, files func() []string, changed, ready func()) {
	w := &watcher{files: files}
	var events chan fsnotify.Event
	var losses chan error
	if notices, err := fsnotify.NewWatcher(); err != nil {
		log.Warn("configuration: changes are only looked for from time to time", "error", err.Error())
	} else {
		defer notices.Close() //nolint:errcheck // nothing is left to fail
		w.notices, events, losses = notices, notices.Events, notices.Errors
	}
	w.follow()
	seen := w.look()
	ready()
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		select {
		case <-events:
		case <-losses: //nolint:errcheck // what was lost is looked at with the rest
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.follow() // first, so that what happens from now on is told
		now := w.settled(ctx)
		if ctx.Err() != nil || maps.Equal(now, seen) {
			continue
		}
		changed()
		w.follow()
		for file, sum := range w.look() {
			if _, old := now[file]; !old {
				now[file] = sum
			}
		}
		seen = now
	}
}

// watcher looks at the content of files.
type watcher struct {
	files   func() []string
	notices *fsnotify.Watcher // nil if there are none
}

// look returns the digests of the files' contents. One that cannot be read has a content too: why.
func (w *watcher) look() map[string][sha256.Size]byte {
	out := map[string][sha256.Size]byte{}
	for _, file := range w.files() {
		data, err := readBounded(file, maxFile)
		if err != nil {
			data = []byte(err.Error())
		}
		out[file] = sha256.Sum256(data)
	}
	return out
}

// settled returns what look does once that stays the same for a while.
func (w *watcher) settled(ctx context.Context) map[string][sha256.Size]byte {
	last := w.look()
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return last
		}
		now := w.look()
		if maps.Equal(now, last) {
			return now
		}
		last = now
		timer.Reset(settleTime)
	}
}

// follow has the system tell of changes in all folders that decide what the files hold: theirs, and those of the links
// that lead to them.
func (w *watcher) follow() {
	if w.notices == nil {
		return
	}
	for _, file := range w.files() {
		for _, dir := range foldersOf(file) {
			_ = w.notices.Add(dir) // one that is not there is found by looking; one that is followed already stays so
		}
	}
}

// foldersOf returns the folders on the way to a file, through symbolic links.
func foldersOf(file string) (out []string) {
	for range maxLinks {
		dir := filepath.Dir(file)
		out = append(out, dir)
		to, err := os.Readlink(file)
		if err != nil {
			// The folder itself may be a link: it is what changes then.
			if real, err := filepath.EvalSymlinks(dir); err == nil && real != filepath.Clean(dir) {
				out = append(out, real, filepath.Dir(dir))
			}
			return out
		}
		file = beside(dir, to)
	}
	return out
}
