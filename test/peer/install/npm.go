package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/headgate/headgate/test/peer"
)

// installNode installs the Node.js versions. Their packages fetch the binary for this machine in an install script,
// so scripts are allowed here and nowhere else.
func installNode(ctx context.Context, dir string) error {
	return step("Node.js 22 and 24", func() error {
		return npm(ctx, dir, "runtime", os.Environ())
	})
}

// installTools installs what runs on Node.js. Npm picks versions of indirect dependencies by the Node.js it runs under
// and quietly takes older ones under an old one, so the newest comes first in PATH.
func installTools(ctx context.Context, dir string) error {
	return step("conformance suite, npm clients and servers", func() error {
		newest := filepath.Join(dir, "runtime", "node_modules", "node24", "bin")
		path := "PATH=" + newest + string(os.PathListSeparator) + os.Getenv("PATH")
		return npm(ctx, dir, "tools", append(os.Environ(), path), "--ignore-scripts")
	})
}

func npm(ctx context.Context, dir, folder string, env []string, flags ...string) error {
	manifest, err := peer.Manifests.ReadFile(folder + "/package.json")
	if err != nil {
		return err
	}
	target := filepath.Join(dir, folder)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(target, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	args := slices.Concat([]string{"install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"}, flags)
	return command(ctx, target, env, "npm", args...)
}

// command runs a program and shows its output only when it fails.
func command(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}
