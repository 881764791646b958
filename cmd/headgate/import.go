package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

func (a *app) importCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "import FILE...", Short: "Make a configuration out of an MCP client's file", Args: someArgs("a file"),
		Long: "Make a configuration out of the files in which MCP clients keep their servers: .mcp.json, ~/.claude.json,\n" +
			"claude_desktop_config.json, .vscode/mcp.json, .cursor/mcp.json and the like. Secrets that stand in them become variables, which are\n" +
			"listed on standard error. The files are only read. To serve such a file as it is, see serve --mcp-config.",
		Example: "  headgate import ~/.claude.json\n  headgate import .mcp.json .vscode/mcp.json -o headgate.yaml",
		RunE:    func(_ *cobra.Command, args []string) error { return a.importFiles(args, out) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, which must not exist yet, instead of standard output")
	return cmd
}

func (a *app) importFiles(paths []string, out string) error {
	whole, err := config.Import(paths[0], a.env)
	if err != nil {
		return invalid(err)
	}
	for _, path := range paths[1:] {
		next, err := config.Import(path, a.env)
		if err != nil {
			return invalid(err)
		}
		if err := whole.Merge(next); err != nil {
			return invalid(err)
		}
	}
	a.warn(whole)
	text, variables := config.Native(whole)
	if err := a.writeNew(out, text); err != nil {
		return err
	}
	a.listVariables(variables)
	return nil
}

// listVariables tells which variables have to be set before the file is served.
func (a *app) listVariables(variables []config.Variable) {
	said := false
	for _, v := range variables {
		if _, set := a.env(v.Name); set && v.Value == "" {
			continue
		}
		if !said {
			said = true
			fmt.Fprintln(a.err, "variables to set before serving:")
		}
		origin := ""
		if v.Value != "" {
			origin = ", whose value stands in the imported file"
		}
		fmt.Fprintf(a.err, "  %s  (%s%s)\n", v.Name, v.Field, origin)
	}
}

// writeNew writes a file that must not exist yet, or to standard output if path is empty.
func (a *app) writeNew(path string, text []byte) error {
	if path == "" {
		_, err := a.out.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no secrets, and teams share it
	if errors.Is(err, fs.ErrExist) {
		failed := usage("%s exists already", path)
		failed.Hint = "choose another name or remove it; nothing was changed"
		return failed
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
