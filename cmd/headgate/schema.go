package main

import (
	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration", Args: noArgs,
		Long: "Print the JSON Schema of the configuration file. Editors that speak YAML complete and check with it: put\n" +
			"\"# yaml-language-server: $schema=headgate.schema.json\" into the first line of the file.",
		Example: "  headgate schema > headgate.schema.json",
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Schema())
			return err
		},
	}
}
