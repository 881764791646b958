package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/policy/auth"
)

// Times of doctor: it says that it is waiting only when there is something to wait for.
const (
	doctorTimeout  = time.Minute
	firstProgress  = 3 * time.Second
	nextProgress   = 10 * time.Second
	doctorStopTime = 15 * time.Second
)

func (a *app) doctorCommand() *cobra.Command {
	var from sources
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "doctor [NAME...]", Short: "Connect to every upstream and identity provider and tell how it is",
		Long: "Connect to every upstream of a configuration, or to those that are named, all at once, and tell what is spoken with it, how many\n" +
			"tools it has, how long listing them takes, and what is wrong. Where no upstream is named, identity providers are asked for their keys,\n" +
			"or about a token that nobody has. Nothing is served meanwhile, and a gateway that runs is not disturbed. The exit code is 7 if some\n" +
			"upstream or provider is down.",
		Example: "  headgate doctor\n  headgate doctor -c headgate.yaml files search\n  headgate doctor --mcp-config .mcp.json -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return a.doctor(ctx, from, args, timeout)
		},
	}
	from.register(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", doctorTimeout, "how long to wait for an upstream")
	a.outputFlag(cmd)
	return cmd
}

func (a *app) doctor(ctx context.Context, from sources, names []string, timeout time.Duration) error {
	cfg, err := a.load(from)
	if err != nil {
		return err
	}
	if cfg.Upstreams, err = pick(cfg.Upstreams, names); err != nil {
		return err
	}
	a.warn(cfg)
	cfg.DataDir = "" // a look leaves nothing behind
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: slog.New(slog.DiscardHandler), Version: buildOf().Version, Environ: a.environ})
	if err != nil {
		return unexpected(err)
	}
	probes := a.probe(ctx, g, cfg.Upstreams, timeout)
	var providers []auth.Provider
	if len(names) == 0 {
		providers = g.Providers(ctx)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), doctorStopTime)
	defer cancel()
	if err := g.Stop(stopping); err != nil {
		fmt.Fprintf(a.err, "warning: %s\n", a.visible(a.err, err.Error()))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.printProbes(probes, providers); err != nil {
		return err
	}
	return degraded(probes, providers)
}

// pick returns the upstreams that are named; all without names.
func pick(all []config.Upstream, names []string) ([]config.Upstream, error) {
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, 0, len(all))
	for _, u := range all {
		known = append(known, u.Name)
	}
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		f := usage("no upstream is called %s", name)
		f.Hint = "upstreams: " + strings.Join(known, ", ")
		if near := config.Nearest(name, known); near != "" {
			f.Hint = "did you mean " + near + "?"
		}
		return nil, f
	}
	return slices.DeleteFunc(slices.Clone(all), func(u config.Upstream) bool { return !slices.Contains(names, u.Name) }), nil
}

// probe looks at all upstreams at once.
func (a *app) probe(ctx context.Context, g *gateway.Gateway, upstreams []config.Upstream, timeout time.Duration) []gateway.Probe {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	probes := make([]gateway.Probe, len(upstreams))
	w := &waiting{names: map[string]bool{}}
	var all sync.WaitGroup
	for i, u := range upstreams {
		w.begin(u.Name)
		all.Go(func() {
			defer w.end(u.Name)
			probes[i] = g.Probe(ctx, u.Name)
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	a.showWaiting(w, done, timeout)
	return probes
}

// showWaiting returns when done is closed, and says now and then what it waits for.
func (a *app) showWaiting(w *waiting, done <-chan struct{}, timeout time.Duration) {
	started := time.Now()
	timer := time.NewTimer(firstProgress)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
			fmt.Fprintf(a.err, "waiting for %s (%s of %s; a program may be downloading its server)\n",
				w, time.Since(started).Round(time.Second), timeout)
			timer.Reset(nextProgress)
		}
	}
}

// waiting is the names that have not answered yet.
type waiting struct {
	mu    sync.Mutex
	names map[string]bool
}

func (w *waiting) begin(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = true
}

func (w *waiting) end(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.names, name)
}

// String returns the names in order.
func (w *waiting) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.names))
	for name := range w.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// looked is a probe as JSON.
type looked struct {
	Name      string  `json:"name"`
	Transport string  `json:"transport"`
	Era       string  `json:"era"`
	Revision  string  `json:"revision"`
	State     string  `json:"state"`
	Tools     int     `json:"tools"`
	ConnectMs float64 `json:"connect_ms"`
	LatencyMs float64 `json:"latency_ms"`
	Note      string  `json:"note"`
}

func (a *app) printProbes(probes []gateway.Probe, providers []auth.Provider) error {
	if a.output == asJSON {
		out := make([]looked, 0, len(probes))
		for _, p := range probes {
			out = append(out, looked{p.Name, p.Transport, p.Era, p.Revision, p.State, p.Tools, milliseconds(p.Connect), milliseconds(p.Latency), p.Note})
		}
		return a.printJSON(map[string]any{"upstreams": out, "providers": askedOf(providers)})
	}
	rows := make([][]string, 0, len(probes))
	for _, p := range probes {
		tools, latency, note := "-", "-", p.Note
		if p.State == gateway.Up {
			tools, latency = strconv.Itoa(p.Tools), p.Latency.Round(10*time.Microsecond).String()
			if p.Connect >= time.Second {
				note = cmp.Or(note, "took "+p.Connect.Round(100*time.Millisecond).String()+" to start")
			}
		}
		rows = append(rows, []string{p.Name, cmp.Or(p.Transport, "-"), cmp.Or(p.Era, "-"), p.State, tools, latency, note})
	}
	rows = append(rows, providerRows(providers)...)
	return a.printTable([]string{"NAME", "TRANSPORT", "ERA", "STATE", "TOOLS", "LATENCY", "NOTE"}, rows)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// degraded is the failure for upstreams and identity providers that cannot be used.
func degraded(probes []gateway.Probe, providers []auth.Provider) error {
	var bad []string
	for _, p := range probes {
		if p.State != gateway.Up && !p.Off {
			bad = append(bad, p.Name)
		}
	}
	if absent := absentProviders(providers); len(absent) > 0 {
		return &failure{
			exit: exitDegraded, Code: "degraded",
			Message: "tokens cannot be checked, because nothing useful comes from " + strings.Join(absent, ", "),
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &failure{
		exit: exitDegraded, Code: "degraded",
		Message: fmt.Sprintf("%d of %d upstreams cannot be used: %s", len(bad), len(probes), strings.Join(bad, ", ")),
	}
}
