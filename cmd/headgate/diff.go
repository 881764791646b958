package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

func (a *app) diffCommand() *cobra.Command {
	var from sources
	var to operators
	cmd := &cobra.Command{
		Use: "diff [BEFORE AFTER]", Short: "Say what a reload would change", Args: cobra.MaximumNArgs(2),
		Long: "Compare two configurations by what they mean: comments, order of keys and defaults that are written out make no difference. With two files,\n" +
			"those are compared; without, the one that -c names, or ./" + defaultFile + ", with what a running gateway on this machine has.\n" +
			"Secrets are compared, but never shown. The exit code is 6 if one of them is not valid.",
		Example: "  headgate diff headgate.yaml headgate.new.yaml\n  headgate diff -c headgate.yaml\n  headgate diff -c headgate.yaml -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return a.diffRunning(cmd.Context(), from, &to)
			case 1:
				return usage("diff takes two files, or none and -c to compare with a running gateway")
			}
			return a.diffFiles(args[0], args[1])
		},
	}
	from.register(cmd)
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

// diffFiles compares two files.
func (a *app) diffFiles(before, after string) error {
	var settings [2][]config.Setting
	for i, path := range []string{before, after} {
		c, err := config.Load(path, a.env)
		if err != nil {
			return invalid(err)
		}
		// What lies beside one file counts as lying beside the other.
		if beside, err := filepath.Rel(filepath.Dir(path), c.DataDir); err == nil && filepath.IsLocal(beside) {
			c.DataDir = beside
		}
		settings[i] = c.Settings()
	}
	return a.printChanges(config.Compare(settings[0], settings[1]))
}

// diffRunning compares files with what a gateway has.
func (a *app) diffRunning(ctx context.Context, from sources, to *operators) error {
	cfg, err := a.load(from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	var changes []config.Change
	status, err := to.send(ctx, http.MethodPost, "/api/v1/diff", cfg.Settings(), &changes)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return unexpected(fmt.Errorf("the gateway did not compare: status %d", status))
	}
	return a.printChanges(changes)
}

func (a *app) printChanges(changes []config.Change) error {
	if a.output == asJSON {
		if changes == nil {
			changes = []config.Change{}
		}
		return a.printJSON(changes)
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(a.out, a.visible(a.out, c.String())); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(a.out, "no difference")
		return err
	}
	return nil
}
