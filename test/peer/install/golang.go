package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/headgate/headgate/test/peer"
)

// buildPrograms builds the servers that are written in Go. Each is built inside a copy of its own module, with the dependencies
// that its authors pinned: this repository's go.mod has no say in it.
func buildPrograms(ctx context.Context, dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, p := range peer.GoPrograms() {
		err := step(fmt.Sprintf("%s from %s@%s", p.Name, p.Module, p.Version), func() error {
			source, err := unpack(ctx, dir, p)
			if err != nil {
				return err
			}
			return command(ctx, source, os.Environ(), "go", "build", "-o", filepath.Join(bin, p.Name), ".")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unpack makes a writable copy of the program's module, applies its edits and returns the program's folder.
func unpack(ctx context.Context, dir string, p peer.GoProgram) (string, error) {
	published, err := download(ctx, p.Module+"@"+p.Version)
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source", p.Name)
	if err := os.RemoveAll(source); err != nil {
		return "", err
	}
	if err := os.CopyFS(source, os.DirFS(published)); err != nil {
		return "", err
	}
	folder := filepath.Join(source, filepath.FromSlash(p.Package))
	return folder, edit(filepath.Join(folder, "main.go"), p.Edits)
}

func edit(file string, edits map[string]string) error {
	if len(edits) == 0 {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(data)
	for old, replacement := range edits {
		if strings.Count(text, old) != 1 {
			return fmt.Errorf("%s: %s is not there exactly once", file, old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// download returns the folder of a module in the module cache.
func download(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	// Outside of any module, so that only the named version is looked at.
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil {
		return "", errors.Join(err, jsonErr)
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	return answer.Dir, err
}
