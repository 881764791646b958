package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what this binary was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the commit does not tell everything
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildOf reads what the linker and the Go command left in the binary.
func buildOf() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // of "go install module@version"
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	text := "headgate " + b.Version
	if b.Commit != "" {
		text += " " + shorten(b.Commit, 13)
	}
	return text + " " + b.Go + " " + b.Platform
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		Long:    "Print the version, the commit it was built from if that is known, and the Go release and platform it was built for.",
		Example: "  headgate version\n  headgate version -o json",
		RunE: func(*cobra.Command, []string) error {
			b := buildOf()
			if a.output == asJSON {
				return a.printJSON(b)
			}
			_, err := fmt.Fprintln(a.out, b)
			return err
		},
	}
	a.outputFlag(cmd)
	return cmd
}
