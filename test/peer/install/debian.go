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

// unpackPrograms unpacks the programs of a part that Debian has, with apt's lists in a folder of our own, since those of the
// machine may be missing and are root's. Where there is no apt, the programs must be on PATH.
func unpackPrograms(part peer.Part) func(context.Context, string) error {
	return func(ctx context.Context, dir string) error {
		target := filepath.Join(dir, string(part))
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		programs := peer.DebianPrograms(part)
		if _, err := exec.LookPath("apt-get"); err != nil {
			return wantOnPath(programs)
		}
		work, err := os.MkdirTemp("", "peers-apt-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		return step("Debian packages for "+string(part), func() error { return unpackAll(ctx, target, work, programs) })
	}
}

func unpackAll(ctx context.Context, target, work string, programs []peer.DebianProgram) error {
	lists, cache := filepath.Join(work, "lists"), filepath.Join(work, "cache")
	for _, folder := range []string{filepath.Join(lists, "partial"), filepath.Join(cache, "archives", "partial")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	apt := func(args ...string) error {
		own := []string{"-q", "-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache=" + cache, "-o", "APT::Sandbox::User=root"}
		return command(ctx, work, os.Environ(), "apt-get", slices.Concat(own, args)...)
	}
	if err := apt("update"); err != nil {
		return err
	}
	for _, p := range programs {
		if err := apt(slices.Concat([]string{"download", p.Name}, p.Depends)...); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range packages {
		if err := command(ctx, work, os.Environ(), "dpkg-deb", "-x", file, target); err != nil {
			return err
		}
	}
	return nil
}

func wantOnPath(programs []peer.DebianProgram) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p.Name); err != nil {
			return fmt.Errorf("%s is needed on PATH where there is no apt-get: %w", p.Name, err)
		}
	}
	return nil
}
