package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/headgate/headgate/test/peer"
)

// errLost ends a run whose table tells the rest.
var errLost = errors.New("the gateway loses checks, or keeps some that baseline.yml says it loses")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	output := flags.String("o", "table", "`format` of the output: table or json")
	write := flags.String("write", "", "`file` to write the table to as well")
	spec := flags.String("spec", "", "run only the pairings of this `revision`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *output != "table" && *output != "json" {
		return fmt.Errorf("-o %q: want table or json", *output)
	}
	dir, err := os.MkdirTemp("", "headgate-conformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runner, err := newRunner(ctx, dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	results, err := runner.runAll(ctx, *spec)
	if err != nil {
		return err
	}
	return report(results, runner.baseline, *output, *write)
}

// newRunner builds Headgate and finds everything else that a run needs.
func newRunner(ctx context.Context, dir string, log *slog.Logger) (*Runner, error) {
	peers, err := peer.Open()
	if err != nil {
		return nil, err
	}
	baseline, err := readBaseline(baselineFile)
	if err != nil {
		return nil, err
	}
	if err := build(ctx, dir); err != nil {
		return nil, err
	}
	return &Runner{
		peers:    peers,
		gateway:  headgate(filepath.Join(dir, "headgate")),
		drive:    filepath.Join(dir, "drive"),
		client:   filepath.Join(dir, "everything-client"),
		baseline: baseline,
		dir:      dir,
		log:      log,
		direct:   make(map[Pairing]Run),
	}, nil
}

// runAll runs the pairings whose revision is spec, or all.
func (r *Runner) runAll(ctx context.Context, spec string) ([]Result, error) {
	var results []Result
	for _, p := range pairings {
		if spec != "" && spec != p.Spec {
			continue
		}
		result, err := r.Run(ctx, p)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no pairing has the revision %q", spec)
	}
	return results, nil
}

func report(results []Result, baseline []Expected, output, file string) error {
	show := writeTable
	if output == "json" {
		show = writeJSON
	}
	if err := show(os.Stdout, results); err != nil {
		return err
	}
	if file != "" {
		var b strings.Builder
		if err := writeDocument(&b, results, baseline); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Clean(file), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	for _, r := range results {
		if !r.OK() {
			return errLost
		}
	}
	return nil
}
