package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/config"
)

// Load reads the configuration anew, wherever that stands. The error is [config.Problems] where the content is wrong.
type Load func() (*config.Config, error)

// errNoFiles is why a configuration cannot be read again.
var errNoFiles = errors.New("this gateway was started without files: there is nothing to read again")

// reloads are the attempts to put another configuration in force. Whoever wants one while another runs waits for
// the next, which is one for all of them.
type reloads struct {
	turn    sync.Mutex     // held by the attempt that runs
	running sync.WaitGroup // attempts

	mu      sync.Mutex
	waiting *attempt // that has not begun; nil if there is none
	closed  bool
	state   admin.Configuration
	said    string // what the last failure was, logged once
}

// attempt is one of them.
type attempt struct {
	done    chan struct{} // closed at the end
	outcome admin.Reloaded
}

// Configuration returns which configuration is in force.
func (g *Gateway) Configuration() admin.Configuration {
	g.reloads.mu.Lock()
	defer g.reloads.mu.Unlock()
	return g.reloads.state
}

// ReloadFiles reads the configuration again and puts it in force if it is good. Why says who wanted that, for the log. It
// may be called at any time, by many goroutines at once, and goes on when ctx has ended.
func (g *Gateway) ReloadFiles(ctx context.Context, why string) admin.Reloaded {
	r := &g.reloads
	r.mu.Lock()
	a := r.waiting
	if a == nil && !r.closed {
		a = &attempt{done: make(chan struct{})}
		r.waiting = a
		r.running.Go(func() { g.attempt(a, why) })
	}
	r.mu.Unlock()
	if a == nil {
		return g.unanswered("the gateway is shutting down")
	}
	select {
	case <-a.done:
		return a.outcome
	case <-ctx.Done():
		return g.unanswered("it was not waited for")
	}
}

// unanswered is the outcome of an attempt of which nothing is known.
func (g *Gateway) unanswered(why string) admin.Reloaded {
	out := admin.Reloaded{Configuration: g.Configuration(), Error: why}
	out.Failed = true
	return out
}

// close lets no attempt begin any more, and waits for those that have.
func (r *reloads) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
}

// attempt makes one attempt, when it is its turn.
func (g *Gateway) attempt(a *attempt, why string) {
	defer close(a.done)
	r := &g.reloads
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.waiting = nil // who comes from now on may mean files that this one has read already
	r.mu.Unlock()
	began := time.Now()
	out, warnings, err := g.reload()
	r.mu.Lock()
	defer r.mu.Unlock()
	a.outcome.Changes = out.Changes
	r.attempted(began, err)
	if err != nil {
		a.outcome.Configuration = r.state
		if r.state.Problems == nil {
			a.outcome.Error = err.Error()
		}
		g.failedReload(why, err)
		return
	}
	r.said, r.state.Restart = "", out.Restart
	r.inForce(g.generation())
	a.outcome.Configuration = r.state
	g.logReload(why, out, warnings, time.Since(began))
}

// reload reads the files and puts them in force.
func (g *Gateway) reload() (Outcome, []config.Problem, error) {
	if g.load == nil {
		return Outcome{}, nil, errNoFiles
	}
	cfg, err := g.load()
	if err != nil {
		return Outcome{}, nil, err
	}
	out, err := g.Reload(g.life, cfg)
	return out, cfg.Warnings, err
}

// attempted notes when there was an attempt, and why it failed. The lock is held.
func (r *reloads) attempted(at time.Time, err error) {
	at = at.UTC()
	r.state.LastAttempt, r.state.Failed, r.state.Problems = &at, err != nil, nil
	if problems := config.Problems(nil); errors.As(err, &problems) {
		r.state.Problems = admin.ProblemsOf(err)
	}
	if err == nil {
		r.state.LastSuccess = &at
	}
}

// inForce notes which generation calls begin with. The lock is held, or nobody has the gateway yet.
func (r *reloads) inForce(n *generation) {
	if r.state.Generation != n.number {
		r.state.Generation, r.state.Hash, r.state.Since = n.number, config.Digest(n.settings), time.Now().UTC()
	}
}

// failedReload logs why there is no other configuration: once, however often the same one is tried. The lock is held.
func (g *Gateway) failedReload(why string, err error) {
	if err.Error() == g.reloads.said {
		return
	}
	g.reloads.said = err.Error()
	var problems []string
	for _, p := range admin.ProblemsOf(err) {
		problems = append(problems, p.String())
	}
	g.log.Error("configuration refused, the one before stays in force", "why", why, "problems", problems)
}

// logReload logs what took effect.
func (g *Gateway) logReload(why string, out Outcome, warnings []config.Problem, took time.Duration) {
	for _, p := range warnings {
		g.log.Warn("configuration", "problem", p.Message, "at", p.Position.String(), "field", p.Field, "fix", p.Hint)
	}
	if len(out.Restart) > 0 {
		g.log.Warn("configuration: some of it needs a restart", "options", out.Restart)
	}
	if len(out.Changes) == 0 {
		g.log.Info("configuration read, nothing has changed", "why", why)
		return
	}
	line := []any{"why", why, "generation", g.reloads.state.Generation, "hash", g.reloads.state.Hash, "took", took}
	for _, part := range []struct {
		name  string
		parts []string
	}{{"added", out.Added}, {"removed", out.Removed}, {"renewed", out.Renewed}, {"sections", out.Sections()}} {
		if len(part.parts) > 0 {
			line = append(line, part.name, strings.Join(part.parts, " "))
		}
	}
	g.log.Info("configuration reloaded", line...)
}

// Differences returns what would change with a configuration that has these settings.
func (g *Gateway) Differences(settings []config.Setting) []config.Change {
	slices.SortFunc(settings, func(a, b config.Setting) int { return strings.Compare(a.Path, b.Path) })
	changes := config.Compare(g.generation().settings, settings)
	changes = slices.DeleteFunc(changes, func(c config.Change) bool { return slices.Contains(g.overrides, c.Path) })
	for i, c := range changes {
		changes[i].Restart = slices.ContainsFunc(fixed, func(f fixedPart) bool { return c.Path == f.name || strings.HasPrefix(c.Path, f.name+".") })
	}
	return changes
}
