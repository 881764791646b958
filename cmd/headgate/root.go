package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headgate/headgate/config"
)

// app is what a command has of its surroundings. Tests put their own in its place.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string // as os.Environ returns it

	output format // of -o, for whichever command has it
}

// run runs one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	if err := unknownPart(root, args); err != nil {
		return a.report(err)
	}
	if err := root.ExecuteContext(ctx); err != nil {
		return a.report(err)
	}
	return exitOK
}

// unknownPart refuses a command that does nothing by itself and has no such part: the library would print its help, and
// scripts would take that for success.
func unknownPart(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root || cmd.Runnable() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
		return nil //nolint:nilerr // or the library says what is wrong
	}
	f := usage("unknown command %q for %q", rest[0], cmd.CommandPath())
	f.Hint = cmd.CommandPath() + " --help lists the commands"
	cmd.SuggestionsMinimumDistance = 2 // as the library has it for the commands themselves
	if near := cmd.SuggestionsFor(rest[0]); len(near) > 0 {
		f.Hint = "did you mean: " + cmd.CommandPath() + " " + near[0]
	}
	return f
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "headgate",
		Short: "One endpoint in front of many MCP servers",
		Long: "Headgate is one endpoint in front of many MCP servers, for clients of any protocol revision.\n\n" +
			"Exit codes: 0 ok, 1 wrong usage or unexpected, 3 credentials needed, 4 unreachable, 5 the tool reported an error,\n" +
			"6 the configuration is invalid, 7 some upstream is down, 8 refused by a policy or limit.",
		Example:       "  headgate serve --demo\n  headgate tools\n  headgate call demo__add a=2 b=3",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		a.serveCommand(), a.statusCommand(), a.streamsCommand(), a.topCommand(), a.jobsCommand(), a.reloadCommand(), a.diffCommand(), a.stdioCommand(), a.validateCommand(), a.doctorCommand(), a.toolsCommand(), a.callCommand(), a.invokeCommand(),
		a.explainCommand(), a.auditCommand(), a.keysCommand(), a.pinsCommand(), a.importCommand(), a.schemaCommand(), a.healthcheckCommand(),
		a.versionCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	exemplify(root)
	return root
}

// exemplify gives the library's own commands an example like all others have.
func exemplify(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  headgate help serve"
		case "completion":
			c.Example = "  source <(headgate completion bash)"
			for _, shell := range c.Commands() {
				shell.Example = "  headgate completion " + shell.Name()
			}
		}
	}
}

// flagError turns what is wrong with a flag into a failure that says what was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	f := usage("%v", err)
	f.Hint = cmd.CommandPath() + " --help"
	missing, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return f
	}
	var names []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	if near := config.Nearest(missing.GetSpecifiedName(), names); near != "" {
		f.Hint = fmt.Sprintf("did you mean --%s?", near)
	}
	return f
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := usage("%s takes no arguments, but was given %q", cmd.CommandPath(), args[0])
	f.Hint = cmd.CommandPath() + " --help"
	return f
}

// someArgs wants at least one argument; what says which.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		f := usage("%s needs %s", cmd.CommandPath(), what)
		f.Hint = "for example:\n" + cmd.Example
		return f
	}
}

// oneArg wants exactly one argument; what says which.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return someArgs(what)(cmd, args)
		}
		f := usage("%s needs %s, and was given %q too", cmd.CommandPath(), what, args[1])
		f.Hint = cmd.CommandPath() + " --help"
		return f
	}
}

// env looks a variable up, as os.LookupEnv does.
func (a *app) env(name string) (string, bool) {
	i := slices.IndexFunc(a.environ, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	if i < 0 {
		return "", false
	}
	return a.environ[i][len(name)+1:], true
}

// invocation is how the user started this program, for commands to copy. "go run" builds it in a folder that is gone afterwards.
func invocation() string {
	path, err := os.Executable()
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if err == nil && name == "headgate" && strings.Contains(filepath.ToSlash(path), "/go-build") {
		return "go run ./cmd/headgate"
	}
	return "headgate"
}
