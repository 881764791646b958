package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

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
	a, err := openArchive(ctx, work)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := a.unpack(ctx, target, slices.Concat([]string{p.Name}, p.Depends)); err != nil {
			return err
		}
	}
	return nil
}

// archive is Debian's packages as apt-get sees them, with lists of our own.
type archive struct {
	work string
	own  []string // options
}

func openArchive(ctx context.Context, work string) (*archive, error) {
	lists, cache, status := filepath.Join(work, "lists"), filepath.Join(work, "cache"), filepath.Join(work, "status")
	for _, folder := range []string{filepath.Join(lists, "partial"), filepath.Join(cache, "archives", "partial")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	// As if nothing was installed: what a package needs is the same on every machine then.
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	a := &archive{work: work, own: []string{
		"-q", "-o", "Dir::State::lists=" + lists, "-o", "Dir::State::status=" + status, "-o", "Dir::Cache=" + cache,
		"-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1",
	}}
	return a, command(ctx, work, os.Environ(), "apt-get", append(a.own, "update")...)
}

// unpack downloads packages and unpacks them, without what they depend on.
func (a *archive) unpack(ctx context.Context, target string, names []string) error {
	if err := command(ctx, a.work, os.Environ(), "apt-get", slices.Concat(a.own, []string{"download"}, names)...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(a.work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range packages {
		if err := errors.Join(command(ctx, a.work, os.Environ(), "dpkg-deb", "-x", file, target), os.Remove(file)); err != nil {
			return err
		}
	}
	return nil
}

// needs names a package and all that it depends on.
func (a *archive) needs(ctx context.Context, name string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", slices.Concat(a.own, []string{"install", "--print-uris", "--yes", "--no-install-recommends", name})...)
	cmd.Dir = a.work
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("what %s needs: %w", name, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		// 'http://…/g++_12.2.0-3_amd64.deb' g++_4%3a12.2.0-3_amd64.deb 1356 MD5Sum:…
		if fields := strings.Fields(line); strings.HasPrefix(line, "'") && len(fields) > 1 {
			needed, _, _ := strings.Cut(fields[1], "_")
			names = append(names, needed)
		}
	}
	return names, nil
}

func wantOnPath(programs []peer.DebianProgram) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p.Name); err != nil {
			return fmt.Errorf("%s is needed on PATH where there is no apt-get: %w", p.Name, err)
		}
	}
	return nil
}
