package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// errMissing tells what to do about an absent or outdated installation.
var errMissing = errors.New(`the foreign clients and servers are not installed, or other versions are pinned now: run "make peers"`)

// Set is an installation of the foreign programs. It is immutable and may be used concurrently.
type Set struct {
	dir string
}

// Open returns the installation below the repository that holds the working directory. It fails when nothing
// is installed, or when the installation is older than what is pinned.
func Open() (*Set, error) {
	dir, err := Folder()
	if err != nil {
		return nil, err
	}
	for _, part := range Parts() {
		if ok, err := part.Installed(dir); err != nil || !ok {
			return nil, errors.Join(errMissing, err)
		}
	}
	return &Set{dir: dir}, nil
}

// Folder returns where the foreign programs belong, installed or not.
func Folder() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "test", ".peers"), nil
}

// Root returns the repository's top folder, found upward from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module github.com/headgate/headgate\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside the repository")
		}
		dir = parent
	}
}

// Dir returns the installation's folder.
func (s *Set) Dir() string { return s.dir }

// node returns the command line of a script below the npm tools, run by Node.js of a major version.
func (s *Set) node(major, script string) []string {
	return []string{
		filepath.Join(s.dir, "runtime", "node_modules", "node"+major, "bin", "node"),
		filepath.Join(s.dir, "tools", "node_modules", filepath.FromSlash(script)),
	}
}

// debian returns the path of a program that was unpacked, or that PATH has.
func (s *Set) debian(part Part, name string) string {
	for _, p := range DebianPrograms(part) {
		path := filepath.Join(s.dir, string(part), filepath.FromSlash(p.Path))
		if _, err := os.Stat(path); p.Name == name && err == nil {
			return path
		}
	}
	return name
}

// binary returns the path of a program built from Go.
func (s *Set) binary(name string) string { return filepath.Join(s.dir, "bin", name) }
