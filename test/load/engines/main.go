// Command engines shows how requests are spread over a cluster of inference engines: the same requests at the same times, straight to the engines in
// turn, and through Headgate with each way to choose. The engines are simulators (test/fake/engine), and everything is in this process:
// what is compared is waiting, not processor time.
//
//	go run ./test/load/engines                          four engines at 80 % of what they can, 15 s for each way
//	go run ./test/load/engines -slow 10                 the last engine is ten times slower
//	go run ./test/load/engines -load 1.2 -duration 1m   more than they can
//
// Requests come at random times (a Poisson process), whether earlier ones have ended or not. Most continue one of a number of long prompts, as chats and agents do;
// lengths of answers are exponential, and clients wait a minute. Who had to wait for longer is counted; whatever else goes wrong is too, and makes the exit status 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	engines  int
	load     float64
	duration time.Duration
	slow     float64
	seed     uint64
	ways     []string
}

func parseOptions(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("engines", flag.ContinueOnError)
	flags.IntVar(&o.engines, "engines", 4, "engines in the cluster")
	flags.Float64Var(&o.load, "load", 0.8, "part of what the cluster can do")
	flags.DurationVar(&o.duration, "duration", 15*time.Second, "how long requests come, for each way")
	flags.Float64Var(&o.slow, "slow", 1, "how many times slower the last engine is")
	flags.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	list := flags.String("ways", strings.Join(wayNames(), ","), "what to compare, with commas between")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.ways = strings.Split(*list, ",")
	for _, way := range o.ways {
		if !slices.Contains(wayNames(), way) {
			return o, fmt.Errorf("there is no way %q: %s", way, strings.Join(wayNames(), ", "))
		}
	}
	if o.engines < 1 || o.engines > 64 || o.load <= 0 || o.load > 10 || o.slow < 1 || o.duration <= 0 {
		return o, errors.New("want 1 to 64 engines, a load over 0 and up to 10, an engine that is not faster, and some time")
	}
	return o, nil
}

// cluster says what there is.
func (o options) cluster() string {
	if o.slow > 1 {
		return fmt.Sprintf("%d engines, one of them %g times slower", o.engines, o.slow)
	}
	return fmt.Sprintf("%d engines", o.engines)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	requests := traffic(o)
	fmt.Fprintf(out, "%s, %.0f %% load, %d requests in %s\n\n", o.cluster(), 100*o.load, len(requests), o.duration)
	var results []result
	for _, way := range o.ways {
		r, err := measure(ctx, o, way, requests)
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		results = append(results, r)
	}
	return report(out, results)
}
