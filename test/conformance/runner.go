package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/headgate/headgate/test/peer"
)

// scenarioTimeout bounds one scenario. A scenario that fails often does so by waiting.
const scenarioTimeout = 15 * time.Second

// Result is what one pairing gave.
type Result struct {
	Pairing
	Scenarios int          `json:"scenarios"` // that succeed directly, at least in part
	Through   int          `json:"through"`   // checks that succeed through the gateway, of those that do directly
	Expected  []Loss       `json:"expected"`  // lost as the baseline says
	Lost      []Loss       `json:"lost"`      // lost although they must not
	Passed    []Unexpected `json:"passed"`    // in the baseline, but not lost
	Rounds    int          `json:"rounds"`    // scenarios of multi round-trip requests that are kept whole
}

// OK tells whether the pairing gave what it must.
func (r Result) OK() bool {
	return len(r.Lost) == 0 && len(r.Passed) == 0 && r.Rounds >= r.rounds()
}

// Runner runs pairings one after the other.
type Runner struct {
	peers    *peer.Set
	gateway  Gateway
	drive    string // the program that runs clients
	client   string // the client that it runs
	baseline []Expected
	dir      string // for results, configuration and the settings of programs
	log      *slog.Logger

	direct map[Pairing]Run // by what [Pairing.alone] returns: each direct run is made once
	runs   int
}

// Run runs the suite directly and through the gateway.
func (r *Runner) Run(ctx context.Context, p Pairing) (Result, error) {
	began := time.Now()
	direct, err := r.runDirect(ctx, p)
	if err != nil {
		return Result{}, fmt.Errorf("%s directly: %w", p, err)
	}
	through, err := r.runThrough(ctx, p, direct)
	if err != nil {
		return Result{}, fmt.Errorf("%s through the gateway: %w", p, err)
	}
	losses := compare(direct, through)
	result := Result{Pairing: p, Scenarios: direct.Scenarios(), Through: direct.Total()}
	for _, l := range losses {
		result.Through -= l.Times
	}
	result.Rounds = direct.whole(multiRound, losses)
	result.Expected, result.Lost, result.Passed = judge(r.baseline, p, direct, losses)
	r.log.InfoContext(ctx, "pairing", "of", p.String(), "direct", p.Direct,
		"through", result.Through, "lost", len(result.Lost), "took", time.Since(began).Round(time.Second))
	return result, nil
}

// runDirect runs the suite against the server itself.
func (r *Runner) runDirect(ctx context.Context, p Pairing) (Run, error) {
	p = p.alone()
	if run, ok := r.direct[p]; ok {
		return run, nil
	}
	// Twice at most: a check that depends on time can fail on a busy machine.
	var run Run
	for range 2 {
		var err error
		if run, err = r.withoutGateway(ctx, p); err != nil {
			return Run{}, err
		}
		if run.Total() == p.Direct {
			r.direct[p] = run
			return run, nil
		}
	}
	return Run{}, fmt.Errorf("%d checks succeed, %d are pinned: the suite or the server has changed", run.Total(), p.Direct)
}

func (r *Runner) withoutGateway(ctx context.Context, p Pairing) (Run, error) {
	if p.suiteServes() {
		return r.suiteServing(ctx, p, "", "--suite", "all")
	}
	server, err := r.peers.Serve(ctx, p.Server)
	if err != nil {
		return Run{}, err
	}
	defer server.Stop()
	return r.suite(ctx, p, server.URL, "--suite", "all")
}

// runThrough runs the suite against the gateway in front of the server, and what is lost unexpectedly once
// more.
func (r *Runner) runThrough(ctx context.Context, p Pairing, direct Run) (Run, error) {
	run, err := r.withGateway(ctx, p, "--suite", "all")
	if err != nil {
		return Run{}, err
	}
	_, lost, _ := judge(r.baseline, p, direct, compare(direct, run))
	for _, scenario := range scenarios(lost) {
		again, err := r.withGateway(ctx, p, "--scenario", scenario)
		if err != nil {
			return Run{}, err
		}
		run.replace(scenario, again)
	}
	return run, nil
}

// withGateway starts a server and a gateway of their own: what a run leaves behind must not meet the next.
func (r *Runner) withGateway(ctx context.Context, p Pairing, args ...string) (Run, error) {
	if p.suiteServes() {
		return r.suiteServing(ctx, p, " -gateway", args...)
	}
	upstream := Upstream{Era: p.era()}
	if p.Stdio {
		argv, err := r.peers.Command(p.Server)
		if err != nil {
			return Run{}, err
		}
		upstream.Command = argv
	} else {
		server, err := r.peers.Serve(ctx, p.Server)
		if err != nil {
			return Run{}, err
		}
		defer server.Stop()
		upstream.URL = server.URL
	}
	dir, err := r.folder("gateway")
	if err != nil {
		return Run{}, err
	}
	url, stop, err := r.gateway(ctx, dir, upstream)
	if err != nil {
		return Run{}, err
	}
	defer stop()
	return r.suite(ctx, p, url, args...)
}

// suite runs the official suite as a client, against a URL.
func (r *Runner) suite(ctx context.Context, p Pairing, url string, args ...string) (Run, error) {
	return r.run(ctx, append([]string{
		"server", "--url", url, "--spec-version", p.Spec, "--timeout", strconv.FormatInt(scenarioTimeout.Milliseconds(), 10),
	}, args...))
}

// suiteServing runs the official suite as a server, for a client that is driven with the given flags.
func (r *Runner) suiteServing(ctx context.Context, p Pairing, flags string, args ...string) (Run, error) {
	return r.run(ctx, append([]string{"client", "--command", r.drive + flags + " " + r.client, "--spec-version", p.Spec}, args...))
}

func (r *Runner) run(ctx context.Context, args []string) (Run, error) {
	dir, err := r.folder("suite")
	if err != nil {
		return Run{}, err
	}
	results := filepath.Join(dir, "results")
	out, err := r.peers.Suite(ctx, dir, append(args, "-o", results)...)
	if err != nil {
		return Run{}, err
	}
	run, err := readRun(results)
	if err != nil {
		return Run{}, fmt.Errorf("%w; the suite ended with status %d: %s", err, out.Code, out.Stderr)
	}
	return run, nil
}

// folder makes a new folder below the runner's own.
func (r *Runner) folder(purpose string) (string, error) {
	r.runs++
	dir := filepath.Join(r.dir, fmt.Sprintf("%03d-%s", r.runs, purpose))
	return dir, os.MkdirAll(dir, 0o755)
}
