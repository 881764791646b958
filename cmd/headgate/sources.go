package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

// defaultFile is read where no configuration is named.
const defaultFile = "headgate.yaml"

// sources are the files that make up a configuration.
type sources struct {
	own     string
	clients []string
	note    func(file string) // is told of each file that is read; may be nil
	inputs  inputs            // nil for whoever sits at the terminal
}

// inputs asks a person for a value that a client's file leaves open.
type inputs func(id, description string, password bool) (string, bool)

// register gives a command the flags that name the files.
func (s *sources) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.own, "config", "c", "", "configuration `FILE` (default ./"+defaultFile+" if it exists)")
	cmd.Flags().StringArrayVar(&s.clients, "mcp-config", nil, "an MCP client's own `FILE`, as it is; may be repeated")
	for _, name := range []string{"config", "mcp-config"} {
		_ = cmd.MarkFlagFilename(name, "yaml", "yml", "json", "jsonc") // the flag is there: two lines above
	}
}

// load reads and merges the files. Its errors are failures.
func (a *app) load(s sources) (*config.Config, error) {
	if s.own == "" && len(s.clients) == 0 {
		if _, err := os.Stat(defaultFile); errors.Is(err, fs.ErrNotExist) {
			return nil, noConfiguration()
		}
		s.own = defaultFile
	}
	if s.note == nil {
		s.note = func(string) {}
	}
	if s.inputs == nil {
		s.inputs = a.inputs()
	}
	var whole *config.Config
	if s.own != "" {
		c, err := config.LoadNoting(s.own, a.env, s.note)
		if err != nil {
			return nil, invalid(err)
		}
		whole = c
	}
	for _, path := range s.clients {
		c, err := config.LoadClientWith(path, config.ClientOptions{Env: a.env, Inputs: s.inputs, Note: s.note})
		switch {
		case err != nil:
			return nil, invalid(err)
		case whole == nil:
			whole = c
		default:
			if err := whole.Merge(c); err != nil {
				return nil, invalid(err)
			}
		}
	}
	return whole, nil
}

func noConfiguration() *failure {
	command := invocation()
	return &failure{
		exit: exitConfig, Code: "config_missing", Message: "no configuration is named, and there is no " + defaultFile + " here",
		Hint: fmt.Sprintf("try it without one:        %[1]s serve --demo\n"+
			"use your client's file:    %[1]s serve --mcp-config ~/.claude.json\n"+
			"make one out of that:      %[1]s import ~/.claude.json -o %[2]s", command, defaultFile),
	}
}

// warn prints what is wrong with a configuration without being fatal.
func (a *app) warn(c *config.Config) {
	for _, p := range c.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", a.visible(a.err, p.Error()))
	}
}

// finding is a problem or warning as JSON.
type finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func findings(problems []config.Problem) []finding {
	out := make([]finding, 0, len(problems))
	for _, p := range problems {
		out = append(out, finding{p.File, p.Line, p.Column, p.Field, p.Message, p.Hint})
	}
	return out
}
