package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/cmd/headgate/demo"
	"github.com/headgate/headgate/config"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	sources
	demo, takeover, watch bool
	listen, admin         string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the gateway", Args: noArgs,
		Long: "Run the gateway in the foreground until it is told to stop: SIGTERM ends it gracefully (not ready, then no new connections, then\n" +
			"calls in flight get time to finish), an interrupt (Ctrl-C) ends it at once, a second signal kills it. SIGHUP, \"headgate reload\" and\n" +
			"changes of the files put another configuration in force; one that is not valid changes nothing.\n\n" +
			"The log goes to standard error, as text on a terminal and for the demo, otherwise as JSON, unless the configuration says\n" +
			"which.",
		Example: "  headgate serve --demo\n  headgate serve -c headgate.yaml\n  headgate serve --mcp-config ~/.claude.json --listen 127.0.0.1:9000\n" +
			"  headgate serve -c headgate.yaml --takeover   # a newer binary replaces the one that runs; no connection is refused or reset",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.demo, "demo", false, "serve three small MCP servers and a model that are inside the gateway; nothing else is needed")
	cmd.Flags().BoolVar(&f.takeover, "takeover", false, "take the place of the gateway that runs with the same data_dir, and the connections that wait for it")
	cmd.Flags().StringVar(&f.listen, "listen", "", "where clients connect, `HOST:PORT` (default 127.0.0.1:8970)")
	cmd.Flags().StringVar(&f.admin, "admin-listen", "", "where operators connect, `HOST:PORT` (default 127.0.0.1:8971)")
	cmd.Flags().BoolVar(&f.watch, "watch", true, "put the configuration in force again when its files change")
	return cmd
}

func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	files := &reading{app: a, flags: f}
	cfg, err := files.first()
	if err != nil {
		return err
	}
	format := a.logFormat(cfg, f.demo)
	log, err := a.openLogs(ctx, cfg, format)
	if err != nil {
		return unexpected(err)
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	signals, ignore := stopSignals()
	defer ignore()
	if f.demo {
		servers, err := demo.Start(ctx, log.Logger)
		if err != nil {
			return unexpected(err)
		}
		defer func() { err = errors.Join(err, servers.Close()) }()
		cfg.Upstreams, cfg.Models = servers.Upstreams(), servers.Models()
	}
	a.warnIn(log.Logger, format, cfg)
	floor := reserveHeap()
	reserveThreads(spareThreads)
	defer runtime.KeepAlive(floor)
	told, done := untilSignal(ctx, signals)
	s, err := newSuccession(told, log.Logger, cfg.DataDir, f.takeover)
	done()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return (&service{
		app: a, next: s, files: files, signals: signals, lost: log.Lost, overridden: f.overridden(),
		banner: banner{log: log.Logger, format: format, demo: f.demo, auth: authOf(cfg.Auth)},
	}).run(ctx, cfg)
}

// overridden are the settings that flags decide.
func (f *serveFlags) overridden() (paths []string) {
	if f.listen != "" {
		paths = append(paths, "listen")
	}
	if f.admin != "" {
		paths = append(paths, "admin.listen")
	}
	return paths
}

// configure makes the configuration out of files and flags.
func (a *app) configure(f serveFlags) (*config.Config, error) {
	var cfg *config.Config
	if f.demo {
		if f.own != "" || len(f.clients) > 0 {
			return nil, usage("--demo needs no configuration; leave out -c and --mcp-config")
		}
		cfg = config.Default()
		cfg.DataDir = "" // nothing is left on disk
	} else {
		var err error
		if cfg, err = a.load(f.sources); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		flag, value string
		into        *string
	}{{"listen", f.listen, &cfg.Listen}, {"admin-listen", f.admin, &cfg.Admin.Listen}} {
		if l.value == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.value); err != nil {
			return nil, usage("--%s %s is not HOST:PORT, such as 127.0.0.1:9000", l.flag, l.value)
		}
		*l.into = l.value
	}
	if err := cfg.CheckExposure(); err != nil {
		return nil, invalid(err)
	}
	return cfg, nil
}

// logFormat decides between text and JSON. The demo is for people, wherever its log goes.
func (a *app) logFormat(cfg *config.Config, isDemo bool) string {
	switch f := cfg.Telemetry.Logs.Format; {
	case f != "auto":
		return f
	case isDemo || isTerminal(a.err):
		return "text"
	}
	return "json"
}

// warnIn prints the warnings of the configuration so that a log of JSON stays one.
func (a *app) warnIn(log *slog.Logger, format string, cfg *config.Config) {
	if format == "text" {
		a.warn(cfg)
		return
	}
	for _, p := range cfg.Warnings {
		log.Warn("configuration", "problem", p.Message, "at", p.Position.String(), "field", p.Field, "fix", p.Hint)
	}
}
