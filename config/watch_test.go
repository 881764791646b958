package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// watched runs Watch on files and returns what delivers changes.
func watched(t *testing.T, files ...string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan struct{}, 16)
	var done sync.WaitGroup
	ready := make(chan struct{})
	done.Go(func() {
		watch(ctx, slog.New(slog.DiscardHandler), func() []string { return files }, func() { changes <- struct{}{} }, func() { close(ready) })
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	<-ready
	return changes
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func awaitChange(t *testing.T, changes <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no change is seen", what)
	}
}

func TestWatchSeesHowFilesAreChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir, file string){
		"written in place": func(t *testing.T, _, file string) { write(t, file, "two") },
		"replaced by another one": func(t *testing.T, dir, file string) {
			write(t, filepath.Join(dir, "new"), "two")
			if err := os.Rename(filepath.Join(dir, "new"), file); err != nil {
				t.Fatal(err)
			}
		},
		"moved away and written anew": func(t *testing.T, _, file string) {
			if err := os.Rename(file, file+"~"); err != nil {
				t.Fatal(err)
			}
			write(t, file, "two")
		},
		"removed": func(t *testing.T, _, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "headgate.yaml")
			write(t, file, "one")
			changes := watched(t, file)
			change(t, dir, file)
			awaitChange(t, changes, name)
			write(t, file, "three") // it is still watched
			awaitChange(t, changes, name+", and again")
		})
	}
}

// Kubernetes puts the files of a ConfigMap into a folder of their own, to which ..data leads, and to that the files lead.
func TestWatchSeesLinksThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(folder, text string) {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, folder, "headgate.yaml"), text)
		if err := os.Symlink(folder, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("..2026_01", "one")
	file := filepath.Join(dir, "headgate.yaml")
	if err := os.Symlink(filepath.Join("..data", "headgate.yaml"), file); err != nil {
		t.Fatal(err)
	}
	changes := watched(t, file)
	for _, version := range []string{"..2026_02", "..2026_03"} {
		put(version, version)
		awaitChange(t, changes, version)
	}
}

func TestWatchIgnoresWhatChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, other := filepath.Join(dir, "headgate.yaml"), filepath.Join(dir, "headgate.log")
	write(t, file, "one")
	changes := watched(t, file)
	write(t, other, "a line")
	write(t, file, "one")
	write(t, other, "another line")
	write(t, file, "two") // whatever comes is of this
	awaitChange(t, changes, "two")
	select {
	case <-changes:
		t.Error("there were two changes")
	case <-time.After(3 * settleTime):
	}
}

func TestLoadNotesAllFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), "a secret")
	path := filepath.Join(dir, "headgate.yaml")
	write(t, path, "version: 1\nupstreams:\n  a: {url: \"http://127.0.0.1:1\", headers: {A: \"file:token\", B: \"file:absent\"}}\n")
	noted := map[string]bool{}
	if _, err := LoadNoting(path, os.LookupEnv, func(file string) { noted[filepath.Base(file)] = true }); err == nil {
		t.Error("a file that is not there is no problem")
	}
	if len(noted) != 3 || !noted["token"] || !noted["absent"] {
		t.Errorf("%v", noted)
	}
}
