package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

func (a *app) validateCommand() *cobra.Command {
	var from sources
	cmd := &cobra.Command{
		Use: "validate", Short: "Check a configuration without starting anything", Args: noArgs,
		Long: "Check a configuration: syntax, keys, values, and the variables and secret files it names. Nothing is started or dialled;\n" +
			"doctor does that. All problems are printed at once, each with its place and what to do. A valid file prints nothing.",
		Example: "  headgate validate\n  headgate validate -c headgate.yaml\n  headgate validate --mcp-config .mcp.json -o json",
		RunE:    func(*cobra.Command, []string) error { return a.validate(from) },
	}
	from.register(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) validate(from sources) error {
	c, err := a.load(from)
	if err == nil {
		err = c.CheckExposure()
	}
	if a.output == asJSON {
		return errors.Join(a.printJSON(verdict(c, err)), err)
	}
	if c != nil {
		a.warn(c)
	}
	return err
}

// judgement is the outcome of validate as JSON.
type judgement struct {
	Valid    bool      `json:"valid"`
	Problems []finding `json:"problems"`
	Warnings []finding `json:"warnings"`
}

func verdict(c *config.Config, err error) judgement {
	j := judgement{Valid: err == nil, Problems: []finding{}, Warnings: []finding{}}
	if err != nil {
		f := failureOf(err)
		if j.Problems = f.Problems; j.Problems == nil {
			j.Problems = []finding{{Message: f.Message, Hint: f.Hint}}
		}
	}
	if c != nil {
		j.Warnings = findings(c.Warnings)
	}
	return j
}
