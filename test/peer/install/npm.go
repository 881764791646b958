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
		return npm(ctx, dir, peer.Runtime, os.Environ())
	})
}

// installTools installs what runs on Node.js. Npm picks versions of indirect dependencies by the Node.js it runs under
// and quietly takes older ones under an old one, so the newest comes first in PATH.
func installTools(ctx context.Context, dir string) error {
	return step("conformance suite, npm clients and servers", func() error {
		return npm(ctx, dir, peer.Tools, withNewest(dir), "--ignore-scripts")
	})
}

// installIdentity installs the identity provider, which is a library, and the script that runs it.
func installIdentity(ctx context.Context, dir string) error {
	return step("identity provider", func() error {
		return npm(ctx, dir, peer.Identity, withNewest(dir), "--ignore-scripts")
	})
}

// installOpenAI installs OpenAI's client for Node.js with the script that asks with it, and builds the program that asks with the one for Go.
func installOpenAI(ctx context.Context, dir string) error {
	return step("OpenAI's clients", func() error {
		if err := npm(ctx, dir, peer.OpenAI, withNewest(dir), "--ignore-scripts"); err != nil {
			return err
		}
		source, err := peer.OpenAIClient()
		if err != nil {
			return err
		}
		return command(ctx, source, os.Environ(), "go", "build", "-o", filepath.Join(dir, string(peer.OpenAI), "openai-go"), ".")
	})
}

// withNewest is the environment with the newest Node.js first in PATH.
func withNewest(dir string) []string {
	newest := filepath.Join(dir, "runtime", "node_modules", "node24", "bin")
	return append(os.Environ(), "PATH="+newest+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func npm(ctx context.Context, dir string, part peer.Part, env []string, flags ...string) error {
	target := filepath.Join(dir, string(part))
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	for _, file := range part.Files() {
		data, err := peer.Manifests.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(file)), data, 0o644); err != nil {
			return err
		}
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
