package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/policy"
)

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Work with the audit log", Args: noArgs,
		Long:    "Work with the log of who called what, which the key audit of the configuration switches on.",
		Example: "  headgate audit verify audit.jsonl",
	}
	verify := &cobra.Command{
		Use: "verify FILE", Short: "Check that no line of an audit log was changed or removed", Args: oneArg("a file"),
		Long: "Check the chain of an audit log that was written with audit.chain: true. The first line that is not as it was written, or that does not\n" +
			"follow the one before it, is named, and the exit code is 1. Lines that were cut off at the end cannot be missed by the file itself:\n" +
			"compare the digest that is printed with one that was kept elsewhere.",
		Example: "  headgate audit verify audit.jsonl\n  headgate audit verify audit.jsonl -o json",
		RunE:    func(_ *cobra.Command, args []string) error { return a.verifyAudit(args[0]) },
	}
	a.outputFlag(verify)
	cmd.AddCommand(verify)
	return cmd
}

func (a *app) verifyAudit(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return usage("%v", err)
	}
	defer file.Close()
	lines, digest, err := policy.VerifyAudit(file)
	if broken, ok := errors.AsType[*policy.ChainError](err); ok {
		return &failure{exit: exitUnexpected, Code: "audit_broken", Message: fmt.Sprintf("%s:%d: the line %s", path, broken.Line, broken.Reason)}
	}
	if err != nil {
		return unexpected(err)
	}
	if a.output == asJSON {
		return a.printJSON(map[string]any{"lines": lines, "digest": digest})
	}
	_, err = fmt.Fprintf(a.out, "%d lines, unbroken; the last has the digest %s\n", lines, digest)
	return err
}
