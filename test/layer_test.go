// Package test holds the tests that look at the repository as a whole. What is tested from outside the process
// is in the folders beside it.
package test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/headgate/headgate"

// maxLines is how long a file may be that is not a test.
const maxLines = 500

// layers tells who may import whom, and nothing else may. Left: packages; right: what of ours they may import.
// "x/*" is every package directly below x, "x/..." is x and everything below it.
var layers = []struct{ from, to string }{
	{"rpc, rpc/socket, config, state, state/seal", ""},
	{"rpc/frame, rpc/mcp, rpc/infer, telemetry, telemetry/metrics", "rpc"},
	{"state/embedded, state/redis, state/statetest", "state"},
	{"policy/auth, upstream, upstream/credential", "rpc, rpc/frame, rpc/socket, config, state, state/seal, telemetry"},
	{"policy", "policy/auth, rpc, config, state, telemetry"},
	{"upstream/mcpserver, upstream/model", "upstream, upstream/credential, rpc/*, rpc, config, telemetry"},
	{"router/catalog, router/bridge, router/session, router/subscription, router/pin, router/job, router/route, router/sampling, router/modeltool, router/model, router/conversation", "rpc, rpc/*, state, state/seal, config, telemetry"},
	{"router", "router/catalog, router/route, rpc, rpc/*, config, telemetry"},
	{"router/edge", "router/session, router/edge/http1, rpc, rpc/*, config, telemetry"},
	{"router/edge/http1", "rpc/socket"},
	{"admin/live", "rpc"},
	{"admin", "admin/live, rpc, config, state, telemetry"},
	{"gateway/takeover", ""},
	{"gateway", "gateway/takeover, rpc/..., config, state/..., telemetry, telemetry/metrics, policy/..., upstream/..., router/..., admin/..."},
	{"cmd/..., test/...", "..."},
}

// bannedNames say nothing about what is inside.
var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "manager", "impl"}

// sourceFile is a Go file that is not a test.
type sourceFile struct {
	path    string // from the top of the repository, with slashes
	pkg     string // folder, likewise; "." is the top
	name    string // in the package clause
	imports []string
	doc     bool // the package clause has a comment
	lines   int
}

func TestLayers(t *testing.T) {
	t.Parallel()
	files := readSource(t, "..")
	for _, violation := range check(files) {
		t.Error(violation)
	}
}

func TestModuleHasNoReplacements(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == "replace" {
			t.Errorf("go.mod: %s: nobody could install the module", strings.TrimSpace(line))
		}
	}
}

// TestCheckFindsViolations keeps the checks from passing everything.
func TestCheckFindsViolations(t *testing.T) {
	t.Parallel()
	own := func(pkg string) string { return module + "/" + pkg }
	tests := map[string]struct {
		file sourceFile
		want []string
	}{
		"allowed":                     {file: sourceFile{path: "rpc/mcp/a.go", imports: []string{"net/http", own("rpc")}}},
		"allowed by the folder above": {file: sourceFile{path: "router/edge/a.go", imports: []string{own("rpc/frame"), "github.com/x/y"}}},
		"allowed below":               {file: sourceFile{path: "cmd/headgate/demo/a.go", imports: []string{own("gateway"), own("test/fake")}}},
		"upward": {
			file: sourceFile{path: "rpc/a.go", imports: []string{own("config")}},
			want: []string{"rpc/a.go: rpc must not import config"},
		},
		"between siblings": {
			file: sourceFile{path: "router/catalog/a.go", imports: []string{own("router/session")}},
			want: []string{"router/catalog/a.go: router/catalog must not import router/session"},
		},
		"the whole process from a part": {
			file: sourceFile{path: "router/a.go", imports: []string{own("gateway")}},
			want: []string{"router/a.go: router must not import gateway"},
		},
		"tests from the process": {
			file: sourceFile{path: "gateway/a.go", imports: []string{own("test/fake")}},
			want: []string{"gateway/a.go: gateway must not import test/fake"},
		},
		"third party in the vocabulary": {
			file: sourceFile{path: "rpc/frame/a.go", imports: []string{"github.com/x/y"}},
			want: []string{"rpc/frame/a.go: rpc/frame must import the standard library only, not github.com/x/y"},
		},
		"a package that the table does not have": {
			file: sourceFile{path: "cache/a.go"},
			want: []string{"cache/a.go: cache is in no row of the table"},
		},
		"a package by a name that says nothing": {
			file: sourceFile{path: "test/util/a.go"},
			want: []string{`test/util/a.go: the name "util" says nothing about what is inside`},
		},
		"a file by a name that says nothing": {
			file: sourceFile{path: "rpc/header_helper.go"},
			want: []string{`rpc/header_helper.go: the name "helper" says nothing about what is inside`},
		},
		"a long file": {
			file: sourceFile{path: "rpc/a.go", lines: 501},
			want: []string{"rpc/a.go: 501 lines, at most 500: does it have two subjects?"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.file.pkg, tt.file.doc = path.Dir(tt.file.path), true
			tt.file.name = path.Base(tt.file.pkg)
			if diff := cmp.Diff(tt.want, check([]sourceFile{tt.file})); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a package without a doc comment", func(t *testing.T) {
		t.Parallel()
		got := check([]sourceFile{{path: "rpc/a.go", pkg: "rpc", name: "rpc"}, {path: "rpc/b.go", pkg: "rpc", name: "rpc"}})
		if diff := cmp.Diff([]string{"rpc: the package has no doc comment"}, got); diff != "" {
			t.Errorf("violations (-want +got):\n%s", diff)
		}
	})
}

// check returns everything about the files that the rules forbid.
func check(files []sourceFile) []string {
	var violations []string
	documented := make(map[string]bool)
	for _, f := range files {
		documented[f.pkg] = documented[f.pkg] || f.doc
		violations = append(violations, checkImports(f)...)
		violations = append(violations, checkNames(f)...)
		if f.lines > maxLines {
			violations = append(violations, fmt.Sprintf("%s: %d lines, at most %d: does it have two subjects?", f.path, f.lines, maxLines))
		}
	}
	for pkg, ok := range documented {
		if !ok {
			violations = append(violations, pkg+": the package has no doc comment")
		}
	}
	return violations
}

func checkImports(f sourceFile) []string {
	allowed, ok := allowedImports(f.pkg)
	if !ok {
		return []string{fmt.Sprintf("%s: %s is in no row of the table", f.path, f.pkg)}
	}
	var violations []string
	for _, imported := range f.imports {
		own, isOwn := strings.CutPrefix(imported, module+"/")
		foreign := !isOwn && strings.Contains(strings.Split(imported, "/")[0], ".")
		switch {
		case isOwn && !matchesAny(allowed, own):
			violations = append(violations, fmt.Sprintf("%s: %s must not import %s", f.path, f.pkg, own))
		case foreign && matches("rpc/...", f.pkg):
			violations = append(violations, fmt.Sprintf("%s: %s must import the standard library only, not %s", f.path, f.pkg, imported))
		}
	}
	return violations
}

func checkNames(f sourceFile) []string {
	names := strings.Split(strings.TrimSuffix(path.Base(f.path), ".go"), "_")
	names = append(names, strings.Split(f.pkg, "/")...)
	names = append(names, f.name)
	slices.Sort(names)
	var violations []string
	for _, name := range slices.Compact(names) {
		if slices.Contains(bannedNames, name) {
			violations = append(violations, fmt.Sprintf("%s: the name %q says nothing about what is inside", f.path, name))
		}
	}
	return violations
}

// allowedImports returns the right side of a package's row.
func allowedImports(pkg string) (string, bool) {
	for _, row := range layers {
		if matchesAny(row.from, pkg) {
			return row.to, true
		}
	}
	return "", false
}

func matchesAny(patterns, pkg string) bool {
	for pattern := range strings.SplitSeq(patterns, ", ") {
		if matches(pattern, pkg) {
			return true
		}
	}
	return false
}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == top || strings.HasPrefix(pkg, top+"/")
	}
	if top, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(pkg) == top
	}
	return pkg == pattern
}

// readSource reads every Go file of the module below root that is not a test, whatever its build constraints.
func readSource(t *testing.T, root string) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, name, d.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := readFile(root, name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found")
	}
	return files
}

// skip leaves out what the go command leaves out, and other modules.
func skip(root, dir, name string) error {
	if dir == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func readFile(root, name string) (sourceFile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return sourceFile{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return sourceFile{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return sourceFile{}, err
	}
	rel = filepath.ToSlash(rel)
	f := sourceFile{
		path: rel, pkg: path.Dir(rel), name: parsed.Name.Name,
		doc: parsed.Doc != nil && parsed.Doc.Text() != "", lines: bytes.Count(data, []byte("\n")),
	}
	f.imports, err = importPaths(parsed)
	return f, err
}

func importPaths(file *ast.File) ([]string, error) {
	var paths []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}
