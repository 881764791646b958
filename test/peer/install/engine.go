package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/headgate/headgate/test/peer"
)

// installEngine builds Ollama, most of which is C++, with the machine's compiler or, where there is none, with Debian's, which is
// unpacked for as long as that takes.
func installEngine(ctx context.Context, dir string) error {
	target := filepath.Join(dir, string(peer.Engine))
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	env := append(os.Environ(), "GOBIN="+target, "CGO_ENABLED=1", "GOFLAGS=", "GOWORK=off")
	if _, err := exec.LookPath("g++"); err != nil {
		work, err := os.MkdirTemp("", "peers-compiler-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if env, err = withCompiler(ctx, work, env); err != nil {
			return err
		}
	}
	return step(peer.OllamaModule, func() error {
		// Outside of any module, so that the dependencies are those that its authors pinned.
		return command(ctx, os.TempDir(), env, "go", "install", "-trimpath", "-ldflags=-s -w", peer.OllamaModule)
	})
}

// compiler are the packages of GCC and the libraries that it is made with. The C library and the linker are the machine's: whoever builds
// with the race detector has them.
var compiler = regexp.MustCompile(`^(g\+\+|gcc|cpp|libstdc\+\+-|libgcc-\d|libisl|libmpc|libmpfr|libgmp)`)

// withCompiler unpacks GCC, which finds its parts beside itself wherever it is, and adds it to an environment.
func withCompiler(ctx context.Context, work string, env []string) ([]string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("g++ is needed on PATH where there is no apt-get: %w", err)
	}
	target := filepath.Join(work, "compiler")
	err := step("Debian's g++", func() error {
		a, err := openArchive(ctx, work)
		if err != nil {
			return err
		}
		all, err := a.needs(ctx, "g++")
		if err != nil {
			return err
		}
		var names []string
		for _, name := range all {
			if compiler.MatchString(name) {
				names = append(names, name)
			}
		}
		return a.unpack(ctx, target, names)
	})
	libraries, globErr := filepath.Glob(filepath.Join(target, "usr", "lib", "*-linux-*"))
	if err := errors.Join(err, globErr); err != nil {
		return nil, err
	}
	path := filepath.Join(target, "usr", "bin") + string(os.PathListSeparator) + os.Getenv("PATH")
	// What is built must run when the compiler is gone.
	return append(env, "PATH="+path, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "CGO_LDFLAGS=-O2 -g -static-libstdc++ -static-libgcc"), nil
}
