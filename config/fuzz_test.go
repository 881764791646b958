package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// addSeeds adds the content of the golden inputs.
func addSeeds(f *testing.F, folder string) {
	f.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".want") {
			return err
		}
		data, err := os.ReadFile(path)
		f.Add(data)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// checkPositions fails when a problem is not in the file that was read.
func checkPositions(t *testing.T, path string, data []byte, problems []Problem) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	for _, p := range problems {
		if p.File != path || p.Message == "" {
			t.Errorf("problem without file or message: %+v", p)
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
			t.Errorf("position %d:%d is not in the file: %v", p.Line, p.Column, p)
		}
	}
}

// checkLoaded applies what holds for every input.
func checkLoaded(t *testing.T, path string, data []byte, c *Config, err error) {
	t.Helper()
	if err != nil {
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
			t.Fatalf("config %v with error %v", c, err)
		}
		checkPositions(t, path, data, problems)
		return
	}
	checkPositions(t, path, data, c.Warnings)
	names := map[string]bool{}
	for _, u := range c.Upstreams {
		if names[u.Name] || u.Name == "" {
			t.Errorf("upstream name %q is empty or stands twice", u.Name)
		}
		names[u.Name] = true
		if u.Disabled == "" && (u.Command == "") == (len(u.Replicas()) == 0) {
			t.Errorf("upstream %q has command %q and backends %v", u.Name, u.Command, u.Replicas())
		}
		if len(c.Endpoints) == 0 || u.Timeout <= 0 || u.Era == "" {
			t.Errorf("defaults are missing: %+v", u)
		}
	}
}

func FuzzLoad(f *testing.F) {
	addSeeds(f, "testdata/load")
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"headgate.yaml", "headgate.json"} {
			c, err := load(name, data, anything, func(string) {})
			checkLoaded(t, name, data, c, err)
		}
	})
}

func FuzzLoadClient(f *testing.F) {
	addSeeds(f, "testdata/client")
	f.Fuzz(func(t *testing.T, data []byte) {
		const path = "mcp.json"
		c, err := (&clientReader{env: nothing}).read(path, data)
		checkLoaded(t, path, data, c, err)
		imported, err := (&clientReader{env: nothing, template: true}).read(path, data)
		if (err != nil) != (c == nil) {
			t.Fatalf("LoadClient reads what Import does not, or the other way round: %v", err)
		}
		if err != nil {
			return
		}
		source, _ := Native(imported)
		if _, err := load("headgate.yaml", source, anything, func(string) {}); err != nil && !isAboutContent(err) {
			t.Fatalf("Native wrote what Load cannot read: %v\n%s", err, source)
		}
	})
}

// anything has every variable set.
func anything(string) (string, bool) { return "anything", true }

// nothing has none.
func nothing(string) (string, bool) { return "", false }

// isAboutContent reports whether the file was understood, so that only the values of fields are wrong: those hold variables, which
// Import cannot know.
func isAboutContent(err error) bool {
	var problems Problems
	if !errors.As(err, &problems) {
		return false
	}
	for _, p := range problems {
		if p.Field == "" {
			return false
		}
	}
	return true
}
