package config_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate/headgate/config"
)

// clientInputs returns the clients' files, with the folders that editors keep theirs in.
func clientInputs(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("testdata/client", func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err == nil && !d.IsDir() && (ext == ".json" || ext == ".yaml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no clients' files: %v", err)
	}
	return files
}

func TestLoadClientGolden(t *testing.T) {
	t.Parallel()
	for _, file := range clientInputs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, err := config.LoadClient(file, environment)
			if bad := strings.HasPrefix(filepath.Base(file), "bad_"); bad != (err != nil) {
				t.Errorf("LoadClient: %v", err)
			}
			compareGolden(t, file, report(c, err))
		})
	}
}

// TestImportRoundTrip writes each client's file as one of our own and compares what the two mean.
func TestImportRoundTrip(t *testing.T) {
	t.Parallel()
	for _, file := range clientInputs(t) {
		if strings.HasPrefix(filepath.Base(file), "bad_") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			imported, err := config.Import(file, environment)
			if err != nil {
				t.Fatal(err)
			}
			source, variables := config.Native(imported)
			golden := string(source)
			for _, v := range variables {
				golden += fmt.Sprintf("# %s=%s (%s)\n", v.Name, v.Value.Reveal(), v.Field)
			}
			compareGolden(t, strings.TrimSuffix(file, ".json")+".native", golden)

			secrets := map[string]string{}
			for _, v := range variables {
				secrets[v.Name] = v.Value.Reveal()
			}
			env := func(name string) (string, bool) {
				if id, ok := strings.CutPrefix(name, "HEADGATE_INPUT_"); ok {
					return "input " + id, true
				}
				if value := secrets[name]; value != "" {
					return value, true
				}
				return environment(name)
			}
			native := filepath.Join(t.TempDir(), "headgate.yaml")
			if err := os.WriteFile(native, source, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := config.Load(native, env)
			if err != nil && !strings.Contains(err.Error(), "is empty") {
				t.Fatalf("%v\n%s", err, source)
			}
			want, err2 := config.LoadClient(file, env)
			if err2 != nil {
				t.Fatal(err2)
			}
			if err != nil {
				return // an empty secret: fatal in our own files
			}
			leftOut := func(u config.Upstream) bool {
				return !slices.ContainsFunc(got.Upstreams, func(g config.Upstream) bool { return g.Name == u.Name })
			}
			want.Upstreams = slices.DeleteFunc(want.Upstreams, leftOut)
			ignore := cmpopts.IgnoreFields(config.Upstream{}, "Position", "Disabled")
			if diff := cmp.Diff(want.Upstreams, got.Upstreams, ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-client +native:\n%s\n%s", diff, source)
			}
		})
	}
}
