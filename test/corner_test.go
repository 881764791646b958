package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// corners is how many corner cases of the protocol are numbered. Each has tests that
// bear its number in their names: TestCorner5_6_… is the sixth.
const corners = 35

var cornerName = regexp.MustCompile(`^TestCorner5_(\d+)_[A-Z]`)

func TestEveryCornerCaseHasATest(t *testing.T) {
	t.Parallel()
	tested := map[int]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "TestCorner") {
				continue
			}
			found := cornerName.FindStringSubmatch(f.Name.Name)
			if found == nil {
				t.Errorf("%s: %s is not named as the tests of corner cases are", path, f.Name.Name)
				continue
			}
			number, _ := strconv.Atoi(found[1]) // digits; too many of them are no corner case either
			if tested[number] = true; number < 1 || number > corners {
				t.Errorf("%s: %s has a number that no corner case has", path, f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for number := 1; number <= corners; number++ {
		if !tested[number] {
			t.Errorf("corner case 5.%d has no test", number)
		}
	}
}
