package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

// stdioCommand is a gateway, or the way to one, for clients that can only start programs.
func (a *app) stdioCommand() *cobra.Command {
	var (
		files sources
		to    target
	)
	cmd := &cobra.Command{
		Use: "stdio", Short: "Be a gateway on standard input and output", Args: noArgs,
		Long: "Serve one client over standard input and output, for clients that start their servers as programs and know nothing else.\n\n" +
			"With -c or --mcp-config this process is the gateway itself. Without them it passes everything on to the gateway that runs at\n" +
			"--url. Either way it ends when the client closes its side. The log goes to standard error.",
		Example: "  headgate stdio\n  headgate stdio --url http://127.0.0.1:8970/mcp/github\n  headgate stdio --mcp-config ~/.claude.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			own := files.own != "" || len(files.clients) > 0
			if own && cmd.Flags().Changed("url") {
				return usage("--url names a gateway that runs, -c and --mcp-config one that is to run: they exclude each other")
			}
			cfg, endpoint := relayConfig(to), "/mcp/"+remoteName
			if own {
				var err error
				if cfg, err = a.load(files); err != nil {
					return err
				}
				endpoint = config.DefaultEndpoint
			}
			return a.stdio(cmd.Context(), cfg, endpoint)
		},
	}
	files.register(cmd)
	to.register(cmd, a)
	return cmd
}

// relayConfig is a gateway with one upstream, which is another gateway. Nothing is renamed.
func relayConfig(to target) *config.Config {
	cfg := config.Default()
	cfg.Upstreams = []config.Upstream{{Name: remoteName, URL: to.url, Transport: "http", Era: "auto", Timeout: to.timeout}}
	return cfg
}

// stdio serves one client on an endpoint.
func (a *app) stdio(ctx context.Context, cfg *config.Config, endpoint string) (err error) {
	cfg.DataDir = "" // nothing here outlives the process, and the folder may be another one's
	format := a.logFormat(cfg, false)
	log, err := a.openLogs(ctx, cfg, format)
	if err != nil {
		return unexpected(err)
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	a.warnIn(log.Logger, format, cfg)
	ctx, release := interruptible(ctx)
	defer release()
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: log.Logger, LinesLost: log.Lost, Version: buildOf().Version, Environ: a.environ})
	if err != nil {
		return unexpected(err)
	}
	err = g.ServeStdio(ctx, endpoint, a.in, a.out)
	if ctx.Err() != nil {
		err = nil // told to stop, which is what it did
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), childrenTime)
	defer cancel()
	if err = errors.Join(err, g.StopNow(last)); err != nil {
		return unexpected(err)
	}
	return nil
}
