// Command load calls one tool of an MCP server over and over and checks every answer.
//
//	go run ./test/load -url http://127.0.0.1:8970/mcp -tool demo__echo -era modern -connections 16 -duration 10s
//
// The tool must answer with one text block for each string argument, in order, as the fake upstream's echo does. It exits
// with status 1 when any call failed. The benchmark that compares targets is test/load/bench.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/headgate/headgate/test/load/generator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// fields collects -header flags.
type fields http.Header

// String implements flag.Value.
func (f fields) String() string { return "" }

// Set implements flag.Value.
func (f fields) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("header %q: must be name: value", text)
	}
	http.Header(f).Add(strings.TrimSpace(name), strings.TrimSpace(value))
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("url", "http://127.0.0.1:8970/mcp", "the MCP endpoint")
	tool := flags.String("tool", "echo", "the tool to call")
	era := flags.String("era", "modern", "legacy or modern")
	connections := flags.Int("connections", 16, "connections, each with one call in flight")
	payload := flags.Int("payload", 256, "bytes of text in the arguments of a call, and in its answer")
	id := flags.String("id", "", "JSON-RPC id of every call, as JSON; empty counts up")
	duration := flags.Duration("duration", 0, "how long to call; 10s when -calls is not given either")
	calls := flags.Int64("calls", 0, "how many calls to make")
	output := flags.String("o", "table", "table or json")
	header := fields{}
	flags.Var(header, "header", "a header field, as \"name: value\"; may be repeated")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *output != "table" && *output != "json" {
		flags.Usage()
		return 2
	}
	if *duration == 0 && *calls == 0 {
		*duration = 10 * time.Second
	}
	fleet, err := generator.Connect(ctx, generator.Config{
		Routes:      []generator.Route{{URL: *url, Tool: *tool}},
		Era:         generator.Era(*era),
		Connections: *connections,
		Payload:     *payload,
		ID:          *id,
		Header:      http.Header(header),
	})
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return 1
	}
	report := fleet.Run(ctx, generator.Work{Duration: *duration, Calls: *calls})
	fleet.Close(context.WithoutCancel(ctx))
	if err := show(stdout, &report, *output); err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return 1
	}
	if report.Failed() > 0 {
		return 1
	}
	return 0
}

// show writes a report as a table or as JSON.
func show(w io.Writer, r *generator.Report, format string) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(map[string]any{
			"calls": r.Calls, "seconds": r.Elapsed.Seconds(), "calls_per_second": r.Rate(),
			"p50_ms": milliseconds(r.Latency.Quantile(0.5)), "p99_ms": milliseconds(r.Latency.Quantile(0.99)), "max_ms": milliseconds(r.Latency.Max()),
			"failures": r.Failures, "examples": r.Examples,
		})
	}
	_, err := fmt.Fprintf(w, "%d calls in %.1f s, %.0f a second; p50 %.3f ms, p99 %.3f ms, longest %.3f ms; %d failed\n",
		r.Calls, r.Elapsed.Seconds(), r.Rate(), milliseconds(r.Latency.Quantile(0.5)), milliseconds(r.Latency.Quantile(0.99)), milliseconds(r.Latency.Max()), r.Failed())
	for fault, n := range r.Failures {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %d × %s, such as: %s\n", n, fault, r.Examples[fault])
		}
	}
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
