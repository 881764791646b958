//go:build linux

package main

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
)

// facts are what the figures depend on. They name no host and no path.
type facts struct {
	Commit string `json:"commit"`
	Go     string `json:"go"`
	System string `json:"system"`
	Cores  int    `json:"cores"`
}

// gatherFacts asks git for the commit; outside a repository it is unknown.
func gatherFacts(ctx context.Context) facts {
	f := facts{Commit: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()}
	if text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		f.Commit = strings.TrimSpace(string(text))
	}
	return f
}
