package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

// reading reads the configuration of a gateway that runs, again and again, as it was read the first time.
type reading struct {
	app   *app
	flags serveFlags

	mu      sync.Mutex
	files   []string // that it was read from last, or would have been
	answers map[string]string
}

// first reads the configuration. A person may be asked for what it leaves open.
func (r *reading) first() (*config.Config, error) {
	r.answers = map[string]string{}
	ask := r.app.inputs()
	return r.read(func(id, description string, password bool) (string, bool) {
		if ask == nil {
			return "", false
		}
		answer, ok := ask(id, description, password)
		if ok {
			r.answers[id] = answer
		}
		return answer, ok
	})
}

// loader reads it again; nil if there is nothing to read.
func (r *reading) loader() gateway.Load {
	if r.flags.demo {
		return nil
	}
	return func() (*config.Config, error) {
		return r.read(func(id, _ string, _ bool) (string, bool) { // what a person said once is not asked again
			answer, ok := r.answers[id]
			return answer, ok
		})
	}
}

func (r *reading) read(ask inputs) (*config.Config, error) {
	var files []string
	f := r.flags
	f.note, f.inputs = func(file string) { files = append(files, file) }, ask
	cfg, err := r.app.configure(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil { // what was not come to this time still counts
		files = append(files, r.files...)
	}
	r.files = files
	return cfg, err
}

// current returns the files that it consists of.
func (r *reading) current() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files
}

// reloadOn has the gateway read its configuration again when it is told to by a signal, and when files change, until the
// returned function is called.
func (r *reading) reloadOn(ctx context.Context, g *gateway.Gateway, log *slog.Logger) (forget func()) {
	if r.flags.demo {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				g.ReloadFiles(ctx, "SIGHUP")
			case <-ctx.Done():
				return
			}
		}
	})
	if r.flags.watch {
		running.Go(func() {
			config.Watch(ctx, log, r.current, func() { g.ReloadFiles(ctx, "its files changed") })
		})
	}
	return func() {
		signal.Stop(hangups)
		cancel()
		running.Wait()
	}
}
