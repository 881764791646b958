//go:build linux

// Command bench measures what a gateway costs: the same checked calls direct to the upstream, through a tuned
// httputil.ReverseProxy and through Headgate, interleaved in one run on one machine.
//
//	go run ./test/load/bench                the whole matrix; about a quarter of an hour
//	go run ./test/load/bench -quick         16 connections, three rounds
//	go run ./test/load/bench -streams 100   streams of tokens, 50 a second each
//	go run ./test/load/bench -idle 10000    what idle legacy streams cost
//
// Upstream, proxy and gateway are processes of their own, so that the processor time and the memory of each can be told
// apart; load comes from this one. What holds on a loaded machine is the processor time per call of the gateway's process
// and its ratio to the ReverseProxy's in the same round; rates and latencies are those of all parts sharing the cores.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	runtime.LockOSThread() // the kernel ends children with the thread that started them: let it be the first and last
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the benchmark, or in a child process the role that its first argument names.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case upstreamRole:
			return serveUpstreams(args[1:], os.Stdin, os.Stdout)
		case proxyRole:
			return serveProxy(args[1:], os.Stdin, os.Stdout)
		case collectorRole:
			return serveCollector(os.Stdin, os.Stdout)
		case engineRole:
			return serveEngine(ctx, args[1:], os.Stdin, os.Stdout)
		case modelProxyRole:
			return serveModelProxy(args[1:], os.Stdin, os.Stdout)
		}
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir = dir
	if err := buildHeadgate(ctx, o); err != nil {
		return err
	}
	switch {
	case o.idle > 0:
		return runIdle(ctx, o)
	case o.streams > 0:
		return runStreams(ctx, o)
	}
	return runMatrix(ctx, o)
}

// options are the flags.
type options struct {
	quick    bool
	rounds   int
	duration time.Duration
	targets  []string
	headgate string
	format   string
	out      string
	budget   float64
	idle     int
	streams  int
	hold     time.Duration
	dir      string // for what the children write
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.quick, "quick", false, "16 connections only, and three rounds unless -rounds says otherwise")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds over the targets, whose median counts; 7 by default")
	flags.DurationVar(&o.duration, "duration", time.Second, "length of one measurement")
	targets := flags.String("targets", "", "what to measure, in this order; direct,proxy,headgate,policies,observed by default, everything is there too; with -streams direct,proxy,headgate by default, policies are there too")
	flags.StringVar(&o.headgate, "headgate", "", "a headgate binary; built from this module by default")
	flags.StringVar(&o.format, "o", "markdown", "markdown or json")
	flags.StringVar(&o.out, "out", "", "write the report to this file instead of the standard output")
	flags.Float64Var(&o.budget, "budget", 0, "fail when the last target needs more: times the processor time of the proxy, of calls at 16 connections; with -idle, KiB per stream")
	flags.IntVar(&o.idle, "idle", 0, "measure this many idle legacy streams instead of calls")
	flags.IntVar(&o.streams, "streams", 0, "measure this many streams of tokens at a time instead of calls")
	flags.DurationVar(&o.hold, "hold", 10*time.Second, "with -idle: how long to hold the streams before something happens")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds == 0 {
		o.rounds = 7
		if o.quick {
			o.rounds = 3
		}
	}
	if *targets == "" {
		*targets = "direct,proxy,headgate,policies,observed"
		if o.streams > 0 {
			*targets = "direct,proxy,headgate"
		}
	}
	o.targets = strings.Split(*targets, ",")
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1, o.duration <= 0, o.idle < 0, o.streams < 0:
		return nil, fmt.Errorf("-rounds, -duration, -idle and -streams must not be negative")
	case o.format != "markdown" && o.format != "json":
		return nil, fmt.Errorf("-o %q: must be markdown or json", o.format)
	}
	for _, name := range o.targets {
		if _, ok := starters[name]; !ok {
			return nil, fmt.Errorf("-targets: unknown target %q", name)
		}
	}
	return o, nil
}
