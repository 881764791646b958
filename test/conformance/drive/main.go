// Command drive runs a client for the official conformance suite, which is its server then: alone, or with
// Headgate between the two.
//
//	drive [-gateway] CLIENT URL
//
// The suite appends the URL of its server to the command that it is given, and tells client and scenario the
// rest by environment. Package conformance builds and names this command; nobody else calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

const (
	// limit ends a client and its gateway before the suite loses patience: it would leave them behind.
	limit = 25 * time.Second
	// stopLimit bounds what a gateway takes to stop.
	stopLimit = 5 * time.Second
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "drive:", err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	// How a client proves who it is to a server is not between the client and the gateway's upstream: the gateway
	// has credentials of its own.
	if strings.HasPrefix(os.Getenv("MCP_CONFORMANCE_SCENARIO"), "auth/") {
		return errors.New("scenarios of authorization are left out")
	}
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	between := flags.Bool("gateway", false, "put a gateway between client and server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("usage: drive [-gateway] CLIENT URL")
	}
	client, url := flags.Arg(0), flags.Arg(1)
	if *between {
		front, stop, err := start(ctx, url)
		if err != nil {
			return err
		}
		defer stop()
		url = front
	}
	cmd := exec.CommandContext(ctx, client, url)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// start runs a gateway in front of a server and returns the URL of an endpoint that renames nothing. It is in this
// process, so that it cannot outlive it.
func start(ctx context.Context, server string) (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "headgate-drive-")
	if err != nil {
		return "", nil, err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			clean()
		}
	}()
	file := filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + strconv.Quote(filepath.Join(dir, "data")) +
		"\nupstreams: {suite: {url: " + strconv.Quote(server) + "}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return "", nil, err
	}
	g, err := gateway.New(ctx, cfg, gateway.Options{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Version: "conformance", Environ: os.Environ(),
	})
	if err != nil {
		return "", nil, err
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		_ = g.StopNow(ctx) // what the client saw is over
		clean()
	}
	if err := g.Start(ctx); err != nil {
		stop()
		return "", nil, err
	}
	return "http://" + g.Addr() + "/mcp/suite", stop, nil
}
