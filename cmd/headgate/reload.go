package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/admin"
)

// reloadTimeout leaves the gateway time to hear of upstreams that are new.
const reloadTimeout = 30 * time.Second

func (a *app) reloadCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "reload", Short: "Have a running gateway read its configuration again", Args: noArgs,
		Long: "Have a running gateway on this machine read its files again and put them in force. Calls in flight go on. A configuration that\n" +
			"is not valid changes nothing: the exit code is 6 then, and every problem is listed.",
		Example: "  headgate reload\n  headgate reload -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.reload(cmd.Context(), &to) },
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) reload(ctx context.Context, to *operators) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	var out admin.Reloaded
	status, err := to.send(ctx, http.MethodPost, "/api/v1/reload", struct{}{}, &out)
	if err != nil {
		return err
	}
	if status != http.StatusOK || out.Failed {
		return refusedReload(&out)
	}
	if a.output == asJSON {
		return a.printJSON(out)
	}
	for _, option := range out.Restart {
		fmt.Fprintf(a.err, "warning: %s needs a restart\n", a.visible(a.err, option))
	}
	if len(out.Changes) == 0 {
		_, err = fmt.Fprintf(a.out, "nothing has changed (generation %d, %s)\n", out.Generation, out.Hash)
		return err
	}
	for _, c := range out.Changes {
		if _, err := fmt.Fprintln(a.out, a.visible(a.out, c.String())); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.out, "in force as generation %d, %s\n", out.Generation, out.Hash)
	return err
}

// refusedReload is the failure of a reload that changed nothing.
func refusedReload(out *admin.Reloaded) *failure {
	if len(out.Problems) == 0 {
		return &failure{exit: exitUnexpected, Code: "not_reloaded", Message: "the gateway did not reload: " + out.Error}
	}
	f := &failure{exit: exitConfig, Code: "config_invalid", Message: fmt.Sprintf("the configuration is refused, nothing has changed; %d problems:", len(out.Problems))}
	lines := make([]string, len(out.Problems))
	for i, p := range out.Problems {
		lines[i] = p.String()
		f.Problems = append(f.Problems, finding(p))
	}
	f.Hint = strings.Join(lines, "\n")
	return f
}
